//! Fields, methods and constants of the program that are called like what the derive prints.

use dust_orm::{DustSchema, Field, Schema};
use serde::{Deserialize, Serialize};
use validator::Validate;

#[derive(Serialize, Deserialize, Validate, DustSchema)]
#[dust(prefix = "things")]
struct Thing {
    slug: Slug,
    name: String,
    prefix: String,
    fields: u32,
    storage: u32,
    r#type: String,
    #[validate(range(max = 3))]
    rules: u32,
}

impl Thing {
    fn slug(&self) -> u32 {
        self.fields
    }

    fn rules(&self) -> u32 {
        self.rules
    }

    fn validate(&self) -> u32 {
        self.storage
    }
}

/// A slug of its own, whose methods are not those of `AsRef`.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Slug(String);

impl Slug {
    fn as_ref(&self) -> usize {
        self.0.len()
    }
}

impl AsRef<str> for Slug {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[test]
fn the_output_calls_its_own() {
    let thing = Thing {
        slug: Slug("four".into()),
        name: "a name".into(),
        prefix: String::new(),
        fields: 1,
        storage: 2,
        r#type: String::new(),
        rules: 4,
    };
    assert_eq!(
        (thing.slug(), thing.validate(), thing.rules(), thing.slug.as_ref()),
        (1, 2, 4, 4)
    );
    assert_eq!(<Thing as Schema>::slug(&thing), "four");
    let errors = <Thing as Schema>::rules(&thing).unwrap_err();
    assert_eq!(errors.field_errors().keys().collect::<Vec<_>>(), ["rules"]);
}

#[test]
fn a_handle_hides_the_constant_of_the_trait_only_on_the_struct() {
    let name: Field<Thing, String> = Thing::NAME;
    assert_eq!(name.name(), "name");
    assert_eq!(<Thing as Schema>::NAME, "Thing");
    assert_eq!(Thing::TYPE.name(), "type");
    assert_eq!(<Thing as Schema>::FIELDS.len(), 7);
}
