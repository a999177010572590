//! Queries of records: the typed builder, the planner, and a filter over all records say the same.

use std::cmp::Ordering;
use std::ops::Bound;

use dust_orm::prelude::*;
use dust_orm::{Indexed, Op, Value};
use dust_transport::model::Batch as Ops;
use dust_transport::query::{Conditions, IndexDefinition, IndexQuery, plan};
use dust_transport::transport::Order;
use futures_util::TryStreamExt as _;
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(
    prefix = "users",
    index("department", "name"),
    index("department", "age"),
    index("age")
)]
struct User {
    slug: String,
    #[serde(rename = "fullName")]
    name: String,
    #[dust(rename = "dep")]
    department: String,
    age: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "days", storage = "map", index(kind, at))]
struct Day {
    #[dust(slug)]
    id: String,
    kind: Kind,
    at: f64,
    tags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Work,
    Rest,
}

fn user(slug: usize, (department, name, age): (usize, usize, Option<i32>)) -> User {
    User {
        slug: format!("u{slug:02}"),
        name: ["Al", "Bo", "Cy", "bo"]
            .into_iter()
            .cycle()
            .nth(name)
            .unwrap()
            .to_owned(),
        department: ["eng", "ops", ""]
            .into_iter()
            .cycle()
            .nth(department)
            .unwrap()
            .to_owned(),
        age,
    }
}

fn age() -> impl Strategy<Value = Option<i32>> {
    prop::option::weighted(0.8, -2..4_i32)
}

async fn filled(users: &[User]) -> Repo {
    let repo = Repo::memory();
    let (before, after) = users.split_at(users.len() / 2);
    for user in before {
        repo.insert(user.clone()).await.unwrap();
    }
    repo.ensure_indexes::<User>().await.unwrap();
    for user in after {
        repo.insert(user.clone()).await.unwrap();
    }
    repo
}

/// The users that pass a filter, in an order that ends with the slug.
fn filter(users: &[User], passes: impl Fn(&User) -> bool, compare: impl Fn(&User, &User) -> Ordering) -> Vec<User> {
    let mut found: Vec<User> = users.iter().filter(|user| passes(user)).cloned().collect();
    found.sort_by(|left, right| compare(left, right).then_with(|| left.slug.cmp(&right.slug)));
    found
}

fn reversed(mut users: Vec<User>) -> Vec<User> {
    users.reverse();
    users
}

/// What a field of the dynamic query is, in the store.
fn stored(user: &User, field: &str) -> Value {
    match field {
        "fullName" => user.name.as_str().into(),
        "dep" => user.department.as_str().into(),
        _ => user.age.map_or_else(Value::null, Into::into),
    }
}

fn compare(left: &Value, right: &Value) -> Ordering {
    let rank = |value: &Value| (!value.is_null(), value.str().is_some());
    rank(left)
        .cmp(&rank(right))
        .then_with(|| match (left.str(), right.str()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left
                .to::<Option<i64>>()
                .unwrap()
                .cmp(&right.to::<Option<i64>>().unwrap()),
        })
}

fn is_in(value: &Value, bound: &Bound<Value>, outside: Ordering) -> bool {
    let (at, is_excluded) = match bound {
        Bound::Unbounded => return true,
        Bound::Included(at) => (at, false),
        Bound::Excluded(at) => (at, true),
    };
    let order = compare(value, at);
    !value.is_null() && order != outside && !(is_excluded && order == Ordering::Equal)
}

fn definitions() -> Vec<IndexDefinition> {
    let index = |fields: &[&str]| {
        let fields = fields.iter().map(|field| field.parse().unwrap());
        IndexDefinition::new("users".parse().unwrap(), fields).unwrap()
    };
    vec![index(&["dep", "fullName"]), index(&["dep", "age"]), index(&["age"])]
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let field = || prop::sample::select(vec!["dep", "fullName", "age"]);
    let asked = move || {
        field().prop_flat_map(|field| {
            let values: Vec<Value> = match field {
                "dep" => vec!["eng".into(), "ops".into()],
                "fullName" => vec!["Bo".into(), "Cy".into()],
                _ => vec![0.into(), 2.into()],
            };
            (Just(field), prop::sample::select(values))
        })
    };
    let order = prop::sample::select(vec![Order::Asc, Order::Desc]);
    (
        prop::collection::vec(asked(), 0..3),
        prop::option::of((asked(), any::<bool>())),
        prop::option::of((field(), order)),
    )
        .prop_map(|(equals, range, order)| Conditions {
            equals: equals
                .into_iter()
                .map(|(field, value)| (field.parse().unwrap(), value))
                .collect(),
            range: range.map(|((field, value), is_lower)| {
                let range = if is_lower {
                    (Bound::Excluded(value), Bound::Unbounded)
                } else {
                    (Bound::Unbounded, Bound::Included(value))
                };
                (field.parse().unwrap(), range)
            }),
            order: order.map(|(field, order)| (field.parse().unwrap(), order)),
        })
}

/// A query that the planner makes, against the filter that the conditions are.
async fn check_planned(repo: &Repo, users: &[User], query: &IndexQuery, asked: &Conditions) {
    let passes = |user: &User| {
        asked
            .equals
            .iter()
            .all(|(field, value)| compare(&stored(user, field.as_str()), value).is_eq())
            && asked.range.iter().all(|(field, (lower, upper))| {
                let value = stored(user, field.as_str());
                is_in(&value, lower, Ordering::Less) && is_in(&value, upper, Ordering::Greater)
            })
    };
    let by_index = |left: &User, right: &User| {
        let fields = query.index.fields().iter();
        let orders = fields.map(|field| compare(&stored(left, field.as_str()), &stored(right, field.as_str())));
        orders.fold(Ordering::Equal, Ordering::then)
    };
    let mut expected = filter(users, passes, by_index);
    if query.order == Order::Desc {
        expected.reverse();
    }
    if let Some((field, order)) = &asked.order {
        let keys: Vec<_> = expected.iter().map(|user| stored(user, field.as_str())).collect();
        let wrong = if *order == Order::Asc {
            Ordering::Greater
        } else {
            Ordering::Less
        };
        assert!(
            keys.iter()
                .zip(keys.iter().skip(1))
                .all(|(left, right)| compare(left, right) != wrong),
            "{query} is in order"
        );
    }
    let page = repo.transport().query(&query.clone().limit(1000)).await.unwrap();
    let found: Vec<_> = page
        .records
        .iter()
        .map(|record| record.path.last().into_owned())
        .collect();
    let expected: Vec<_> = expected.into_iter().map(|user| user.slug).collect();
    assert_eq!(found, expected, "{query}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn builder_planner_and_filter_agree(
        rows in prop::collection::vec((0..3_usize, 0..4_usize, age()), 0..24),
        asked in prop::collection::vec(conditions(), 1..12),
        bound in -2..4_i32,
    ) {
        let users: Vec<User> = rows.into_iter().enumerate().map(|(slug, row)| user(slug, row)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let repo = filled(&users).await;
            let (by_name, by_age) = (|l: &User, r: &User| l.name.cmp(&r.name), |l: &User, r: &User| l.age.cmp(&r.age));

            let engineers = repo.query(User::DEPARTMENT.eq("eng"));
            let is_engineer = |user: &User| user.department == "eng";
            prop_assert_eq!(engineers.all().await.unwrap(), filter(&users, is_engineer, by_name));
            let by_name_down = engineers.clone().order_by(User::NAME.desc());
            prop_assert_eq!(by_name_down.all().await.unwrap(), reversed(filter(&users, is_engineer, by_name)));
            let by_age_up = engineers.clone().order_by(User::AGE.asc());
            prop_assert_eq!(by_age_up.all().await.unwrap(), filter(&users, is_engineer, by_age));
            let streamed: Vec<User> = by_age_up.limit(3).stream().try_collect().await.unwrap();
            prop_assert_eq!(streamed, filter(&users, is_engineer, by_age).into_iter().take(3).collect::<Vec<_>>());

            let older = engineers.clone().and(User::AGE.gt(bound)).order_by(User::AGE.desc());
            let is_older = |user: &User| is_engineer(user) && user.age.is_some_and(|age| age > bound);
            prop_assert_eq!(older.all().await.unwrap(), reversed(filter(&users, is_older, by_age)));
            let middle = engineers.and(User::NAME.between("B".."b"));
            let is_middle = |user: &User| is_engineer(user) && ("B".."b").contains(&user.name.as_str());
            prop_assert_eq!(middle.all().await.unwrap(), filter(&users, is_middle, by_name));
            let ageless = repo.query(User::AGE.eq(None));
            prop_assert_eq!(ageless.all().await.unwrap(), filter(&users, |user| user.age.is_none(), by_age));
            let everyone = repo.query(User::AGE.asc()).all().await.unwrap();
            prop_assert_eq!(everyone, filter(&users, |_| true, by_age));

            let prefix = "users".parse().unwrap();
            let asked_older = Conditions {
                equals: vec![("dep".parse().unwrap(), "eng".into())],
                range: Some(("age".parse().unwrap(), (Bound::Excluded(bound.into()), Bound::Unbounded))),
                order: Some(("age".parse().unwrap(), Order::Desc)),
            };
            prop_assert_eq!(plan(&prefix, &definitions(), asked_older).unwrap(), older.explain().unwrap());

            for asked in asked {
                match plan(&prefix, &definitions(), asked.clone()) {
                    Ok(query) => check_planned(&repo, &users, &query, &asked).await,
                    // The index that it names would do.
                    Err(error) if error.code() == "no_index" => {
                        let named = error.detail().split_once("by (").and_then(|(_, rest)| rest.split_once(')'));
                        if let Some((names, _)) = named {
                            let fields = names.split(", ").map(|name| name.parse().unwrap());
                            let index = IndexDefinition::new("users".parse().unwrap(), fields).unwrap();
                            prop_assert!(plan(&prefix, [&index], asked).is_ok(), "{}", error);
                        } else {
                            prop_assert_eq!(asked, Conditions::default());
                        }
                    }
                    Err(error) => prop_assert_eq!(error.code(), "invalid_query"),
                }
            }
            Ok(())
        })?;
    }
}

fn day(id: &str, kind: Kind, at: f64) -> Day {
    Day {
        id: id.to_owned(),
        kind,
        at,
        tags: vec![id.to_uppercase()],
    }
}

#[tokio::test]
async fn pages_of_map_records_follow_each_other() {
    let repo = Repo::memory();
    let refused = repo.query(Day::KIND.eq(Kind::Work)).page().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidParams);
    assert!(
        refused.to_string().contains("no index of days by kind, at"),
        "{refused}"
    );
    repo.ensure_indexes::<Day>().await.unwrap();
    let days = [(1.5, "b"), (2.0, "c"), (-1.0, "a"), (10.0, "d")].map(|(at, id)| day(id, Kind::Work, at));
    repo.batch_write(days.clone().into_iter().fold(Batch::new(), Batch::insert))
        .await
        .unwrap();
    repo.insert(day("z", Kind::Rest, 0.0)).await.unwrap();
    let mut slugs = Vec::new();
    let query = repo.query(Day::KIND.eq(Kind::Work)).order_by(Day::AT.asc()).limit(3);
    let mut next = None;
    loop {
        let page = query.clone().after(next).page().await.unwrap();
        slugs.extend(page.records.into_iter().map(|day| day.id));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(slugs, ["a", "b", "c", "d"]);
    // The rest of another range is known, and that of other values is not.
    let next = query.page().await.unwrap().next;
    let late = repo.query(Day::KIND.eq(Kind::Work)).and(Day::AT.ge(2.0));
    assert_eq!(
        late.after(next.clone()).page().await.unwrap().records,
        [days[3].clone()]
    );
    let other = repo.query(Day::KIND.eq(Kind::Rest)).after(next).page().await;
    let other = other.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::InvalidParams);
    assert!(other.to_string().contains("other values"), "{other}");
    let range = repo.query(Day::KIND.eq(Kind::Work)).and(Day::AT.between(1.5..=2.0));
    assert_eq!(range.all().await.unwrap(), [days[0].clone(), days[1].clone()]);
    repo.delete::<Day>("c").await.unwrap();
    assert_eq!(range.all().await.unwrap(), [days[0].clone()]);
}

#[tokio::test]
async fn a_record_that_does_not_load_is_skipped_or_told() {
    let repo = Repo::memory();
    repo.ensure_indexes::<Day>().await.unwrap();
    repo.insert(day("a", Kind::Work, 1.0)).await.unwrap();
    // Somebody else has written half a record.
    let half = Op::set("days/b/kind".parse().unwrap(), "work");
    repo.transport().write(Ops::one(half)).await.unwrap();
    let query = repo.query(Day::KIND.eq(Kind::Work));
    assert_eq!(query.all().await.unwrap(), [day("a", Kind::Work, 1.0)]);
    assert_eq!(query.page().await.unwrap().records.len(), 1);
    let strict = repo.strict().query(Day::KIND.eq(Kind::Work)).all().await.unwrap_err();
    assert_eq!(strict.kind(), ErrorKind::InvalidRecord);
    let items: Vec<_> = futures_util::StreamExt::collect::<Vec<_>>(query.stream()).await;
    assert_eq!(items.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn what_no_index_can_answer_is_refused_before_anything_is_read() {
    let repo = Repo::memory();
    let text = |error: Error| error.to_string();
    let by_name = repo.query(User::NAME.eq("Al")).explain().map_err(text);
    assert_eq!(
        by_name.unwrap_err(),
        "no_index: no index of `users` serves the query; an index by (fullName) would"
    );
    let twice = repo.query(User::AGE.eq(1)).and(User::AGE.eq(2)).explain().map_err(text);
    assert_eq!(twice.unwrap_err(), "invalid_query: `age` has to be equal to two values");
    let order = repo
        .query(User::AGE.gt(1))
        .order_by(User::NAME.asc())
        .explain()
        .map_err(text);
    assert_eq!(
        order.unwrap_err(),
        "invalid_query: a query with a range of `age` is ordered by `age`"
    );
    let limit = repo.query(User::AGE.gt(1)).limit(0).page().await.map_err(text);
    assert_eq!(
        limit.unwrap_err(),
        "invalid_params: the limit of a query must be 1 to 1000"
    );
    assert!(repo.query(User::AGE.gt(1)).limit(0).all().await.unwrap().is_empty());
    let list = Field::<Day, Vec<String>>::eq(Day::TAGS, vec!["a".to_owned()]);
    assert!(repo.query(list).explain().is_err());
    assert_eq!(User::INDEXES.len(), 3);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(
    prefix = "team/members",
    index("email", unique),
    index("team", "seat", unique),
    index("team", mapped = false)
)]
#[expect(clippy::duplicated_attributes, reason = "two of its indexes are unique")]
struct Member {
    slug: String,
    #[serde(rename = "mail")]
    email: Option<String>,
    #[dust(rename = "t")]
    team: String,
    seat: u32,
}

fn member(slug: &str, email: Option<&str>, seat: u32) -> Member {
    Member {
        slug: slug.to_owned(),
        email: email.map(str::to_owned),
        team: "red".to_owned(),
        seat,
    }
}

#[tokio::test]
async fn a_value_that_another_record_has_is_an_error_of_the_field() {
    let repo = Repo::memory();
    repo.ensure_indexes::<Member>().await.unwrap();
    let ada = repo.insert(member("ada", Some("a@b"), 1)).await.unwrap();
    repo.insert(member("bo", None, 2)).await.unwrap();
    repo.insert(member("cy", None, 3)).await.unwrap();
    let taken = |refused: WriteError<Member>| match refused {
        WriteError::Invalid(changeset) => changeset.errors().clone(),
        WriteError::Dust(error) => panic!("{error:?}"),
    };
    let form = [("slug", "di"), ("mail", "a@b"), ("team", "blue"), ("seat", "1")];
    let errors = taken(repo.insert(Member::changeset(&form)).await.unwrap_err());
    assert_eq!(errors.to_string(), "mail: has already been taken");
    assert_eq!(errors.iter().next().unwrap().code(), "unique");
    let errors = taken(repo.insert(member("di", None, 1)).await.unwrap_err());
    assert_eq!(errors.to_string(), "team: has already been taken");
    let bo = repo.fetch::<Member>("bo").await.unwrap();
    let update = bo.change().put(Member::EMAIL, "a@b".to_owned());
    let errors = taken(repo.update(update).await.unwrap_err());
    assert_eq!(errors.to_string(), "mail: has already been taken");
    let batch = Batch::new()
        .insert(user(1, (0, 0, None)))
        .insert(member("di", Some("a@b"), 9));
    match repo.batch_write(batch).await {
        Err(BatchError::Invalid { index, schema, errors }) => {
            assert_eq!(
                (index, schema, errors.to_string().as_str()),
                (1, "Member", "mail: has already been taken")
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(repo.all::<User>().await.unwrap().is_empty());
    let reds = repo.query(Member::TEAM.eq("red"));
    let explained = reds.explain().unwrap().to_string();
    assert_eq!(explained, r#"team/members by t (covering): t = "red""#);
    assert_eq!(reds.all().await.unwrap(), [ada, bo, member("cy", None, 3)]);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(
    prefix = "events",
    write_primary = false,
    index("date", "user_id", "time", mapped = false)
)]
struct Event {
    slug: String,
    date: String,
    user_id: u32,
    #[dust(required)]
    time: String,
    data: Option<Vec<u32>>,
}

fn event(slug: &str, date: &str, user_id: u32, time: &str) -> Event {
    Event {
        slug: slug.to_owned(),
        date: date.to_owned(),
        user_id,
        time: time.to_owned(),
        data: (user_id > 1).then(|| vec![user_id, 7]),
    }
}

/// The original's tests of a time series.
#[tokio::test]
async fn a_time_series_lives_in_its_index() {
    let repo = Repo::memory();
    let unready = repo.insert(event("1", "d1", 1, "08")).await.unwrap_err();
    assert!(unready.to_string().contains("no_index"), "{unready}");
    repo.ensure_indexes::<Event>().await.unwrap();
    let events = [
        event("1", "d1", 1, "08"),
        event("2", "d1", 2, "09"),
        event("3", "d1", 1, "10"),
        event("4", "d2", 1, "07"),
        event("5", "d1", 1, "12"),
    ];
    repo.insert_all(events.clone()).await.unwrap();
    let found = |slugs: &[usize]| slugs.iter().map(|slug| events[slug - 1].clone()).collect::<Vec<_>>();
    let day = repo.query(Event::DATE.eq("d1"));
    assert_eq!(day.all().await.unwrap(), found(&[1, 3, 5, 2]));
    let of_user = day.clone().and(Event::USER_ID.eq(1_u32));
    let morning = of_user
        .clone()
        .and(Event::TIME.between("08".to_owned().."12".to_owned()));
    assert_eq!(morning.all().await.unwrap(), found(&[1, 3]));
    assert_eq!(
        morning.explain().unwrap().to_string(),
        r#"events by date, user_id, time (index only): date = "d1", user_id = 1, time >= "08", time < "12""#
    );
    let latest = of_user.clone().order_by(Event::TIME.desc()).limit(2);
    assert_eq!(latest.all().await.unwrap(), found(&[5, 3]));
    // Ranges before equals, and fields without those before them, do not compile or are refused.
    assert!(repo.query(Event::USER_ID.eq(1_u32)).all().await.is_err());
    // The same again is the same; another time is another record.
    repo.insert(events[0].clone()).await.unwrap();
    assert_eq!(of_user.all().await.unwrap().len(), 3);
    repo.delete_records(&found(&[1, 3])).await.unwrap();
    assert_eq!(of_user.all().await.unwrap(), found(&[5]));
    let form = [("slug", "6"), ("date", "d1"), ("user_id", "1")];
    let invalid = repo.insert(Event::changeset(&form)).await.unwrap_err();
    assert!(matches!(invalid, WriteError::Invalid(_)));
    match repo
        .insert_all([Event::changeset(&events[0]), Event::changeset(&form)])
        .await
    {
        Err(BatchError::Invalid {
            index: 1,
            schema: "Event",
            errors,
        }) => {
            assert_eq!(errors.to_string(), "time: can't be blank");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(of_user.all().await.unwrap(), found(&[5]));
    assert!(
        repo.transport()
            .get(&"events".parse().unwrap())
            .await
            .unwrap()
            .is_none()
    );
}
