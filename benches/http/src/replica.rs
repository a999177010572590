//! Records from the replica of a synced store, beside what a program would keep by hand: a map in memory, and serde.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use dust_orm::prelude::*;
use tokio::runtime::Runtime;

use crate::dust::{BATCH_OPS, Dust};
use crate::report::{Line, Target, Turn};
use crate::{Failure, STRIDE, Scale};

/// Reads between two looks at the clock.
const READS: usize = 64;

/// The fields of a record, as their leaves are called.
const FIELDS: [&str; 5] = ["name", "email", "age", "city", "tags"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "bench/people")]
struct Person {
    slug: String,
    name: String,
    email: String,
    age: u32,
    city: Option<String>,
    tags: Vec<String>,
}

/// A record without its slug, as it is kept by hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    name: String,
    email: String,
    age: u32,
    city: Option<String>,
    tags: Vec<String>,
}

impl Person {
    fn numbered(number: usize) -> Result<Self, Failure> {
        Ok(Self {
            slug: slug(number),
            name: format!("Person of the number {number}"),
            email: format!("person.{number}@example.org"),
            age: u32::try_from(number % 90)?,
            city: Some(format!("City {}", number % 1000)),
            tags: vec![format!("tag{}", number % 7), "people".to_owned()],
        })
    }
}

impl Kept {
    fn of(person: &Person) -> Self {
        let Person {
            name,
            email,
            age,
            city,
            tags,
            ..
        } = person.clone();
        Self {
            name,
            email,
            age,
            city,
            tags,
        }
    }

    fn with_slug(self, slug: String) -> Person {
        let Self {
            name,
            email,
            age,
            city,
            tags,
        } = self;
        Person {
            slug,
            name,
            email,
            age,
            city,
            tags,
        }
    }
}

fn slug(number: usize) -> String {
    format!("person-{number:08}")
}

/// The same records by hand: each as one text, and each as a text for every field.
#[derive(Debug, Default)]
struct ByHand {
    whole: BTreeMap<String, String>,
    leaves: BTreeMap<String, String>,
}

impl ByHand {
    fn keep(&mut self, person: &Person) -> Result<(), Failure> {
        let kept = Kept::of(person);
        self.whole.insert(person.slug.clone(), serde_json::to_string(&kept)?);
        let serde_json::Value::Object(fields) = serde_json::to_value(&kept)? else {
            return Err("a record that is no object".into());
        };
        for (field, value) in fields {
            self.leaves.insert(path(&person.slug, &field), value.to_string());
        }
        Ok(())
    }

    fn get_whole(&self, slug: String) -> Result<Person, Failure> {
        let text = self.whole.get(&slug).ok_or("no such record")?;
        Ok(serde_json::from_str::<Kept>(text)?.with_slug(slug))
    }

    fn get_leaves(&self, slug: String) -> Result<Person, Failure> {
        let leaf = |field: &str| self.leaves.get(&path(&slug, field)).ok_or("no such leaf");
        let [name, email, age, city, tags] = FIELDS.map(leaf);
        let kept = Kept {
            name: serde_json::from_str(name?)?,
            email: serde_json::from_str(email?)?,
            age: serde_json::from_str(age?)?,
            city: serde_json::from_str(city?)?,
            tags: serde_json::from_str(tags?)?,
        };
        Ok(kept.with_slug(slug))
    }
}

fn path(slug: &str, field: &str) -> String {
    format!("bench/people/{slug}/{field}")
}

/// Reads records for a time, in an order that no cache likes; `read` reads those of some slugs.
fn turn(
    scale: &Scale,
    count: usize,
    mut read: impl FnMut(Vec<String>) -> Result<(), Failure>,
) -> Result<Turn, Failure> {
    let mut number = 0;
    let mut next = || {
        number = (number + STRIDE) % count;
        slug(number)
    };
    let mut for_a_while = |time: Duration| {
        let (began, mut done) = (Instant::now(), 0);
        while began.elapsed() < time {
            read((0..READS).map(|_| next()).collect())?;
            done += u32::try_from(READS)?;
        }
        Ok::<_, Failure>(f64::from(done) / began.elapsed().as_secs_f64())
    };
    for_a_while(scale.turn / 8)?;
    Ok(Turn {
        per_second: for_a_while(scale.turn)?,
        cpu_us: None,
    })
}

/// Reads of records through a `Repo` over a live replica, beside maps that hold the same. `dust` has nothing else, so that
/// the replica is no larger than they are.
pub(crate) fn get(scale: &Scale, runtime: &Runtime, dust: &Dust) -> Result<[Line; 2], Failure> {
    let count = scale.keys / FIELDS.len();
    let config = Config::new(Dust::STORE, dust.token()).base_url(format!("http://{}", dust.address));
    let repo = runtime.block_on(Repo::sync(config))?;
    let mut by_hand = ByHand::default();
    let people = (0..count).map(Person::numbered).collect::<Result<Vec<_>, _>>()?;
    for people in people.chunks(BATCH_OPS / FIELDS.len()) {
        let batch = people
            .iter()
            .fold(Batch::new(), |batch, person| batch.insert(person.clone()));
        runtime.block_on(repo.batch_write(batch))?;
        people.iter().try_for_each(|person| by_hand.keep(person))?;
    }
    let of_dust = async |slug: String| {
        let person = repo.get::<Person>(&slug).await?;
        person.ok_or_else(|| Failure::from("no such record"))
    };
    for person in people.iter().step_by(STRIDE) {
        let sides = [
            runtime.block_on(of_dust(person.slug.clone()))?,
            by_hand.get_whole(person.slug.clone())?,
            by_hand.get_leaves(person.slug.clone())?,
        ];
        if sides.iter().any(|side| side != person) {
            return Err(format!("the sides disagree on {}", person.slug).into());
        }
    }
    let (mut replica, mut whole, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        replica.push(turn(scale, count, |slugs| {
            runtime.block_on(async {
                for slug in slugs {
                    black_box(of_dust(slug).await?);
                }
                Ok(())
            })
        })?);
        let by_hand = &by_hand;
        let each = |get: fn(&ByHand, String) -> Result<Person, Failure>| {
            move |slugs: Vec<String>| {
                for slug in slugs {
                    black_box(get(by_hand, slug)?);
                }
                Ok(())
            }
        };
        whole.push(turn(scale, count, each(ByHand::get_whole))?);
        leaves.push(turn(scale, count, each(ByHand::get_leaves))?);
    }
    let line = |peer: &str, turns| Line {
        what: format!("record of a replica, beside {peer}"),
        dust: replica.clone(),
        peer: turns,
        target: Target::Ratio(0.5),
    };
    Ok([line("a map of records", whole), line("a map of leaves", leaves)])
}
