//! Names of fields in other cases.

use proc_macro2::Ident;
use syn::ext::IdentExt as _;

/// A rule of serde's `rename_all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenameRule {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

impl RenameRule {
    /// The rule that serde knows as `name`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "lowercase" => Self::Lower,
            "UPPERCASE" => Self::Upper,
            "PascalCase" => Self::Pascal,
            "camelCase" => Self::Camel,
            "snake_case" => Self::Snake,
            "SCREAMING_SNAKE_CASE" => Self::ScreamingSnake,
            "kebab-case" => Self::Kebab,
            "SCREAMING-KEBAB-CASE" => Self::ScreamingKebab,
            _ => return None,
        })
    }

    /// What serde calls the field `name`. Like serde, takes it for granted that `name` is in snake case.
    pub(crate) fn apply(self, name: &str) -> String {
        match self {
            Self::Lower | Self::Snake => name.to_owned(),
            Self::Upper | Self::ScreamingSnake => name.to_ascii_uppercase(),
            Self::Pascal => pascal(name),
            Self::Camel => {
                let mut name = pascal(name);
                if let Some(first) = name.get_mut(..1) {
                    first.make_ascii_lowercase();
                }
                name
            }
            Self::Kebab => name.replace('_', "-"),
            Self::ScreamingKebab => name.to_ascii_uppercase().replace('_', "-"),
        }
    }
}

fn pascal(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut word = word.to_owned();
        if let Some(first) = word.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        word
    });
    words.collect()
}

/// The name of a field, without the `r#` of a raw identifier.
pub(crate) fn field_name(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// The constant that holds the handle of a field: `TITLE` of `title`, `TYPE` of `r#type`.
pub(crate) fn handle(ident: &Ident) -> Ident {
    Ident::new(&field_name(ident).to_uppercase(), ident.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of serde's own test of field names.
    #[test]
    fn rules_give_the_names_that_serde_gives() {
        use RenameRule::{Camel, Kebab, Lower, Pascal, ScreamingKebab, ScreamingSnake, Snake, Upper};
        for (name, upper, pascal, camel, screaming, kebab, screaming_kebab) in [
            (
                "outcome", "OUTCOME", "Outcome", "outcome", "OUTCOME", "outcome", "OUTCOME",
            ),
            (
                "very_tasty",
                "VERY_TASTY",
                "VeryTasty",
                "veryTasty",
                "VERY_TASTY",
                "very-tasty",
                "VERY-TASTY",
            ),
            ("a", "A", "A", "a", "A", "a", "A"),
            ("z42", "Z42", "Z42", "z42", "Z42", "z42", "Z42"),
            ("_a__b_", "_A__B_", "AB", "aB", "_A__B_", "-a--b-", "-A--B-"),
            ("straße", "STRAßE", "Straße", "straße", "STRAßE", "straße", "STRAßE"),
        ] {
            let wants = [
                (Lower, name),
                (Upper, upper),
                (Pascal, pascal),
                (Camel, camel),
                (Snake, name),
                (ScreamingSnake, screaming),
                (Kebab, kebab),
                (ScreamingKebab, screaming_kebab),
            ];
            for (rule, want) in wants {
                assert_eq!(rule.apply(name), want, "{rule:?} of {name}");
            }
        }
    }

    #[test]
    fn rules_are_known_by_the_names_of_serde() {
        let names = [
            "lowercase",
            "UPPERCASE",
            "PascalCase",
            "camelCase",
            "snake_case",
            "SCREAMING_SNAKE_CASE",
            "kebab-case",
            "SCREAMING-KEBAB-CASE",
        ];
        let rules: Vec<_> = names.iter().map(|name| RenameRule::named(name).unwrap()).collect();
        assert!(
            rules
                .iter()
                .enumerate()
                .all(|(i, rule)| rules.iter().position(|other| other == rule) == Some(i))
        );
        assert_eq!(RenameRule::named("Camel"), None);
    }

    #[test]
    fn handles_are_in_screaming_case() {
        for (field, constant) in [
            ("title", "TITLE"),
            ("read_at", "READ_AT"),
            ("r#type", "TYPE"),
            ("_v2", "_V2"),
            ("größe", "GRÖSSE"),
        ] {
            let ident: Ident = syn::parse_str(field).unwrap();
            assert_eq!(handle(&ident).to_string(), constant);
        }
    }

    /// `Ident::new` panics on what is no identifier, so the upper case of every letter must be one.
    #[test]
    fn the_upper_case_of_every_identifier_is_an_identifier() {
        let mut letters = 0;
        let cased = ('\u{80}'..=char::MAX).filter(|letter| letter.to_uppercase().ne([*letter]));
        for name in cased.flat_map(|letter| [format!("{letter}"), format!("a{letter}")]) {
            let Ok(ident) = syn::parse_str::<Ident>(&name) else {
                continue;
            };
            assert_eq!(handle(&ident).to_string(), name.to_uppercase());
            letters += 1;
        }
        assert!(letters > 2_000, "{letters}");
    }
}
