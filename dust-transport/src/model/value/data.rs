//! A value as the data of formats other than JSON.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::{Value, read};

/// Serialises a value as what its JSON text says, not as the text.
pub(crate) struct Data<'a>(pub(crate) &'a Value);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match read::Tree::read(self.0.json()) {
            Some(tree) => tree.serialize(serializer),
            None => serializer.serialize_unit(),
        }
    }
}

impl Serialize for read::Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Boolean(boolean) => serializer.serialize_bool(*boolean),
            Self::Integer(digits) => match (digits.parse(), digits.parse(), digits.parse()) {
                (Ok(unsigned), _, _) => serializer.serialize_u64(unsigned),
                (_, Ok(signed), _) => serializer.serialize_i64(signed),
                // Its nearest float: no other type has room for it.
                (_, _, Ok(float)) => serializer.serialize_f64(float),
                _ => serializer.serialize_unit(),
            },
            Self::Float(float) => serializer.serialize_f64(*float),
            Self::String(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(members) => serializer.collect_map(members),
        }
    }
}

/// Reads data into the JSON text of a value, at most [`Value::ASSEMBLED_LEVELS_MAX`] levels deep.
pub(crate) struct DataSeed;

impl<'de> DeserializeSeed<'de> for DataSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let mut out = String::new();
        let text = Text {
            out: &mut out,
            levels: Value::ASSEMBLED_LEVELS_MAX,
        };
        text.deserialize(deserializer)?;
        Ok(Value::from_text(out))
    }
}

struct Text<'a> {
    out: &'a mut String,
    /// How many levels may still be opened.
    levels: usize,
}

impl Text<'_> {
    fn inner<E: serde::de::Error>(&mut self) -> Result<Text<'_>, E> {
        let levels = self
            .levels
            .checked_sub(1)
            .ok_or_else(|| E::custom("it is nested too deep"))?;
        Ok(Text { out: self.out, levels })
    }

    fn push(self, text: impl fmt::Display) {
        use fmt::Write as _;
        // A string takes whatever is written into it.
        let _ = write!(self.out, "{text}");
    }
}

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what JSON can say")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.push("null");
        Ok(())
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_bool<E: serde::de::Error>(self, boolean: bool) -> Result<(), E> {
        self.push(boolean);
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, integer: i64) -> Result<(), E> {
        self.push(integer);
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, integer: u64) -> Result<(), E> {
        self.push(integer);
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, float: f64) -> Result<(), E> {
        let value = Value::try_from(float).map_err(E::custom)?;
        self.push(value);
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        read::push_quoted(self.out, text);
        Ok(())
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<(), E> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.visit_str(text),
            Err(error) => Err(E::custom(error)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut open = '[';
        loop {
            // Taken back if no item follows.
            inner.out.push(open);
            let item = Text {
                out: inner.out,
                levels: inner.levels,
            };
            if items.next_element_seed(item)?.is_none() {
                break;
            }
            open = ',';
        }
        if open == ',' {
            inner.out.pop();
        }
        self.out.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut open = '{';
        while let Some(Key(key)) = members.next_key()? {
            inner.out.push(open);
            open = ',';
            read::push_quoted(inner.out, &key);
            inner.out.push(':');
            members.next_value_seed(Text {
                out: inner.out,
                levels: inner.levels,
            })?;
        }
        if open == '{' {
            inner.out.push('{');
        }
        self.out.push('}');
        Ok(())
    }
}

/// A key: a string, or an integer by its digits.
struct Key(String);

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string for a key")
            }

            fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Key, E> {
                Ok(Key(key.to_owned()))
            }

            fn visit_bytes<E: serde::de::Error>(self, key: &[u8]) -> Result<Key, E> {
                std::str::from_utf8(key)
                    .map_err(E::custom)
                    .and_then(|key| self.visit_str(key))
            }

            fn visit_u64<E: serde::de::Error>(self, key: u64) -> Result<Key, E> {
                Ok(Key(key.to_string()))
            }

            fn visit_i64<E: serde::de::Error>(self, key: i64) -> Result<Key, E> {
                Ok(Key(key.to_string()))
            }
        }

        deserializer.deserialize_any(KeyVisitor)
    }
}
