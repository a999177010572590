use super::{Value, read};
use crate::model::ValueKind;

/// An object that is one leaf, by its `_type` key, rather than a map of leaves.
///
/// ```
/// use dust_transport::model::{Envelope, Value};
/// let price = Value::from_json(r#"{"_typed":"29.99","_type":"decimal"}"#)?;
/// assert_eq!(price.envelope(), Some(Envelope::Decimal("29.99".into())));
/// # Ok::<(), dust_transport::model::ValueError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Envelope {
    /// `_type` is `file`: a reference to a file.
    File,
    /// `_type` is `lease`.
    Lease,
    /// `_typed` is the text of a decimal, and `_type` is `decimal`.
    Decimal(String),
    /// `_typed` is the text of a date and time, and `_type` is `datetime`.
    Datetime(String),
    /// Both `_typed` and `_type` are there, and they say nothing known: one leaf, kept as it is.
    Other,
}

impl Value {
    /// What kind of envelope this is; `None` for what is none.
    #[must_use]
    pub fn envelope(&self) -> Option<Envelope> {
        // The keys have no characters that are usually escaped; a writer that escapes them anyway (`\u005f`) is seen too.
        if !self.is_map() || !(self.json().contains("_type") || self.json().contains('\\')) {
            return None;
        }
        let (mut kind, mut typed) = (None, None);
        for (key, raw) in read::entries(self.json()) {
            match &*key {
                "_type" => kind = Some(read::unquote(raw)),
                "_typed" => typed = Some(read::unquote(raw)),
                _ => {}
            }
        }
        let kind = kind?;
        match (kind.as_deref(), typed) {
            (Some("file"), _) => Some(Envelope::File),
            (Some("lease"), _) => Some(Envelope::Lease),
            (Some("decimal"), Some(Some(text))) if is_decimal(&text) => Some(Envelope::Decimal(text.into_owned())),
            (Some("datetime"), Some(Some(text))) if is_datetime(&text) => Some(Envelope::Datetime(text.into_owned())),
            (_, Some(_)) => Some(Envelope::Other),
            (_, None) => None,
        }
    }

    /// Whether this value is one leaf: anything but a map, and a map that is an [`Envelope`].
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert!(Value::from_json("[{}]")?.is_leaf());
    /// assert!(Value::from_json(r#"{"_type":"file","size":3}"#)?.is_leaf());
    /// assert!(!Value::from_json(r#"{"title":"Dust"}"#)?.is_leaf());
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        !self.is_map() || self.envelope().is_some()
    }

    /// The value that a `set` stores at one leaf and the kind it gets; `None` for a map, which is flattened.
    ///
    /// Decimals and date-times come out of their envelope. A file reference that is merely set is kind `map`: only a
    /// stored file makes kind `file`.
    ///
    /// ```
    /// use dust_transport::model::{Value, ValueKind};
    /// let price = Value::from_json(r#"{"_typed":"29.99","_type":"decimal"}"#)?;
    /// assert_eq!(price.as_leaf(), Some((Value::from("29.99"), ValueKind::Decimal)));
    /// assert_eq!(Value::from_json(r#"{"title":"Dust"}"#)?.as_leaf(), None);
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    #[must_use]
    pub fn as_leaf(&self) -> Option<(Self, ValueKind)> {
        if !self.is_map() {
            return Some((self.clone(), self.kind()));
        }
        Some(match self.envelope()? {
            Envelope::File | Envelope::Other => (self.clone(), ValueKind::Map),
            Envelope::Lease => (self.clone(), ValueKind::Lease),
            Envelope::Decimal(text) => (Self::from(text), ValueKind::Decimal),
            Envelope::Datetime(text) => (Self::from(text), ValueKind::Datetime),
        })
    }

    /// The value as the event of its op tells it, with the decimals and date-times in its leaves plain; and the value as
    /// it is, if that is another.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// let priced = Value::from_json(r#"{"price":{"_typed":"29.99","_type":"decimal"}}"#)?;
    /// let (told, written) = priced.clone().into_told();
    /// assert_eq!((told.json(), written), (r#"{"price":"29.99"}"#, Some(priced)));
    /// assert_eq!(Value::from(1).into_told(), (Value::from(1), None));
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    #[must_use]
    pub fn into_told(self) -> (Self, Option<Self>) {
        match plain(&self) {
            Some(told) => (told, Some(self)),
            None => (self, None),
        }
    }
}

/// A value with the typed values in its leaves plain, if that is another value; as deep as the value, which is bounded.
fn plain(value: &Value) -> Option<Value> {
    if !value.json().contains("_typed") && !value.json().contains('\\') {
        return None;
    }
    if let Some((leaf, kind)) = value.as_leaf() {
        return matches!(kind, ValueKind::Decimal | ValueKind::Datetime).then_some(leaf);
    }
    let mut entries = value.entries().unwrap_or_default();
    let mut changed = false;
    for (_, value) in &mut entries {
        if let Some(plain) = plain(value) {
            *value = plain;
            changed = true;
        }
    }
    changed.then(|| Value::map(entries))
}

/// A sign, digits, a point and digits, an exponent; all but the digits may be missing.
fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = |part: &'_ str| part.strip_prefix(['+', '-']).map_or(part.len(), str::len);
    let body = text.get(text.len() - unsigned(text)..).unwrap_or_default();
    let (number, exponent) = body.split_once(['e', 'E']).map_or((body, None), |(n, e)| (n, Some(e)));
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
    digits(whole)
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.get(e.len() - unsigned(e)..).unwrap_or_default()))
}

/// The shape of ISO 8601, `YYYY-MM-DD` and whatever follows after a `T` or a space.
fn is_datetime(text: &str) -> bool {
    let mut bytes = text.bytes();
    "dddd-dd-ddT".bytes().all(|expected| match (expected, bytes.next()) {
        (b'd', Some(byte)) => byte.is_ascii_digit(),
        (b'T', Some(byte)) => byte == b'T' || byte == b' ',
        (_, byte) => byte == Some(expected),
    })
}
