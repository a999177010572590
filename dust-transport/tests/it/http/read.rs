//! Reads, request by request.

use dust_transport::error::ErrorKind;
use dust_transport::model::{Path, Pattern, Seq, ValueKind};
use dust_transport::transport::{Items, List, Order, Scope, Select, Transport as _};
use wiremock::matchers::{header, method, path as url_path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::server::{Server, Turn};
use super::{ENTRIES, TOKEN, assert_error, http, json, path};

const EMPTY: &str = r#"{"items":[],"next_cursor":null}"#;

#[tokio::test]
async fn a_get_asks_for_the_path_with_the_token() {
    let server = MockServer::start().await;
    let body = r#"{"path":"links/dust","value":{"title":"Dust"},"type":"map","revision":3}"#;
    Mock::given(method("GET"))
        .and(url_path(format!("{ENTRIES}/links/dust")))
        .and(header("authorization", format!("Bearer {TOKEN}")))
        .and(header("accept", "application/json"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(body, "application/json"))
        .expect(1)
        .mount(&server)
        .await;
    let entry = http(&server.uri()).get(&path("links/dust")).await.unwrap().unwrap();
    assert_eq!(
        (entry.path, entry.value),
        (path("links/dust"), json(r#"{"title":"Dust"}"#))
    );
    assert_eq!((entry.kind, entry.revision), (ValueKind::Map, Seq(3)));
}

#[tokio::test]
async fn a_list_is_one_query() {
    let server = MockServer::start().await;
    let body = r#"{"items":[{"path":"links/dust/title","value":"Dust","type":"string","revision":3}],"next_cursor":"links/dust/title"}"#;
    Mock::given(method("GET"))
        .and(url_path(ENTRIES))
        .and(query_param("pattern", "links/**"))
        .and(query_param("limit", "200"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(body, "application/json"))
        .expect(1)
        .mount(&server)
        .await;
    let page = http(&server.uri())
        .list(&List::below(path("links")).limit(200))
        .await
        .unwrap();
    assert_eq!(page.next, Some(path("links/dust/title")));
    let entries = page.items.into_entries();
    assert_eq!((entries.len(), entries[0].revision), (1, Seq(3)));
}

#[tokio::test]
async fn every_list_has_its_query() {
    let pattern = |text: &str| List::pattern(Pattern::parse(text).unwrap());
    let below = |text: &str| List::below(path(text));
    for (list, query) in [
        (pattern("**"), "pattern=**&limit=50"),
        (
            pattern("a/*/c").select(Select::Keys),
            "pattern=a/*/c&select=keys&limit=50",
        ),
        (
            pattern("a/**").select(Select::Prefixes).limit(7),
            "pattern=a/**&select=prefixes&limit=7",
        ),
        (below("a").order(Order::Desc), "pattern=a/**&order=desc&limit=50"),
        (
            below("a").after(path("a/b c+d&e=f#g%?~0'")),
            "pattern=a/**&limit=50&after=a/b%20c%2Bd%26e%3Df%23g%25%3F~0%27",
        ),
        (List::range(path("a"), path("z")).limit(1000), "from=a&to=z&limit=1000"),
        // The hosted server finds nothing by a pattern without a wildcard, nor below a literal star.
        (pattern("a/b"), "from=a/b&to=a/b%01&limit=50"),
        (below("x/*"), "from=x/*/%01&to=x/*0&limit=50"),
        (
            below("x/*").select(Select::Prefixes),
            "from=x/*/%01&to=x/*0&select=keys&limit=50",
        ),
    ] {
        let server = Server::start([Turn::json(200, EMPTY)]).await;
        assert!(http(&server.base_url).list(&list).await.unwrap().items.is_empty());
        assert_eq!(server.lines(), [format!("GET {ENTRIES}?{query}")]);
    }
}

#[tokio::test]
async fn keys_and_prefixes_are_paths() {
    let keys = r#"{"items":["x/*/a/1","x/*/a/2","x/*/b~1c"],"next_cursor":"x/*/b~1c"}"#;
    let server = Server::start(vec![Turn::json(200, keys); 4]).await;
    let store = http(&server.base_url);
    let below = List::below(path("x/*"));
    let all: Vec<Path> = ["x/*/a/1", "x/*/a/2", "x/*/b~1c"].map(path).into();
    let page = store.list(&below.clone().select(Select::Keys)).await.unwrap();
    assert_eq!(
        (page.items, page.next),
        (Items::Keys(all.clone()), Some(path("x/*/b~1c")))
    );
    let plain = List::pattern(Pattern::default()).select(Select::Prefixes);
    assert_eq!(store.list(&plain).await.unwrap().items, Items::Prefixes(all));
    let page = store.list(&below.clone().select(Select::Prefixes)).await.unwrap();
    assert_eq!(page.items, Items::Prefixes(["x/*/a", "x/*/b~1c"].map(path).into()));
    assert_eq!(page.next, Some(path("x/*/b~1c")));
    let page = store
        .list(&below.select(Select::Prefixes).order(Order::Desc))
        .await
        .unwrap();
    assert_eq!(page.items, Items::Prefixes(["x/*/b~1c", "x/*/a"].map(path).into()));
}

#[tokio::test]
async fn lists_that_cannot_be_are_not_sent() {
    let server = Server::start([]).await;
    let store = http(&server.base_url);
    for limit in [0, 1001] {
        let refused = store.list(&List::below(path("a")).limit(limit)).await;
        assert_error(refused, ErrorKind::InvalidParams, "invalid_params");
    }
    let range = List::new(Scope::Range {
        from: path("a"),
        to: path("b"),
    })
    .select(Select::Prefixes);
    assert_error(store.list(&range).await, ErrorKind::InvalidParams, "unsupported_select");
    for text in ["a/*", "a"] {
        let list = List::pattern(Pattern::parse(text).unwrap()).select(Select::Prefixes);
        assert_error(
            store.list(&list).await,
            ErrorKind::InvalidParams,
            "invalid_pattern_for_prefixes",
        );
    }
    assert!(server.seen().is_empty());
}

/// Segments in an address: what is kept, what is encoded.
#[tokio::test]
async fn paths_are_percent_encoded() {
    let reserved = ["-._", "!$&'()*,;=:@"];
    for (segments, encoded) in [
        (&["links", "dust", "title"][..], "links/dust/title"),
        (&["with space"], "with%20space"),
        (&["a+b"], "a%2Bb"),
        (&["image/file"], "image~1file"),
        (&["a~b"], "a~0b"),
        (&["foo.bar", "baz"], "foo.bar/baz"),
        (&["..."], "..."),
        (&reserved, "-._/!$&'()*,;=:@"),
        (&["x", "*", "**"], "x/*/**"),
        (&["50%", "%2F"], "50%25/%252F"),
        (&["?", "#", "[]", "{}", "<>"], "%3F/%23/%5B%5D/%7B%7D/%3C%3E"),
        (&["\"", "`", "^", "|", "\\"], "%22/%60/%5E/%7C/%5C"),
        (&["é", "日本", "🦀"], "%C3%A9/%E6%97%A5%E6%9C%AC/%F0%9F%A6%80"),
        (&["\n", "\t", "\u{1}", "\u{7f}"], "%0A/%09/%01/%7F"),
        (&["batch"], "batch"),
        (&["entries", "batch"], "entries/batch"),
    ] {
        let server = Server::start([Turn::json(404, "")]).await;
        let at = Path::new(segments).unwrap();
        assert_eq!(http(&server.base_url).get(&at).await.unwrap(), None);
        assert_eq!(server.lines(), [format!("GET {ENTRIES}/{encoded}")]);
    }
}

#[tokio::test]
async fn a_base_url_may_have_a_path() {
    for (tail, expected) in [("", ""), ("/", ""), ("/dust", "/dust"), ("/a/dust//", "/a/dust")] {
        let server = Server::start([Turn::json(404, "")]).await;
        let store = http(&format!("{}{tail}", server.base_url));
        assert_eq!(store.get(&path("a")).await.unwrap(), None);
        assert_eq!(server.lines(), [format!("GET {expected}{ENTRIES}/a")]);
    }
}

/// `.` and `..` do not survive in an address, and a long path does not fit.
#[tokio::test]
async fn paths_that_no_address_can_hold_are_read_by_other_calls() {
    let long = Path::new(["é".repeat(2000)]).unwrap();
    for at in [path("a/../b"), path("."), long] {
        let leaf = format!(r#"{{"entries":{{"{at}":{{"value":1,"type":"integer","revision":2}}}},"missing":[]}}"#);
        let server = Server::start([Turn::json(200, &leaf)]).await;
        let entry = http(&server.base_url).get(&at).await.unwrap().unwrap();
        assert_eq!((entry.path, entry.revision), (at.clone(), Seq(2)));
        assert_eq!(server.lines(), [format!("POST {ENTRIES}/batch")]);
        assert_eq!(server.seen()[0].body, format!(r#"{{"paths":["{at}"]}}"#));
    }
    let none = Turn::json(200, r#"{"entries":{},"missing":["a/.."]}"#);
    let leaf = |name: &str, seq| format!(r#"{{"path":"a/../{name}","value":{seq},"type":"integer","revision":{seq}}}"#);
    let first = format!(r#"{{"items":[{}],"next_cursor":"a/../b"}}"#, leaf("b", 5));
    let second = format!(r#"{{"items":[{}],"next_cursor":null}}"#, leaf("c/d", 4));
    let server = Server::start([none.clone(), Turn::json(200, &first), Turn::json(200, &second)]).await;
    let entry = http(&server.base_url).get(&path("a/..")).await.unwrap().unwrap();
    assert_eq!((entry.kind, entry.revision), (ValueKind::Map, Seq(5)));
    assert_eq!(entry.value, json(r#"{"b":5,"c":{"d":4}}"#));
    let server = Server::start([none.clone(), Turn::json(200, EMPTY), none, Turn::json(200, EMPTY)]).await;
    assert_eq!(http(&server.base_url).get(&path("a/..")).await.unwrap(), None);
    assert!(!http(&server.base_url).exists(&path("a/..")).await.unwrap());
}

#[tokio::test]
async fn batch_reads_go_by_the_thousand() {
    let missing = r#"{"entries":{"p/0":{"value":0,"type":"integer","revision":1},"p/1999":{"value":1999,"type":"integer","revision":2}},"missing":[]}"#;
    let server = Server::start(vec![Turn::json(200, missing); 3]).await;
    let paths: Vec<Path> = (0..2001).map(|index| path(&format!("p/{index}"))).collect();
    let found = http(&server.base_url).get_many(&paths).await.unwrap();
    assert_eq!(found.len(), 2001);
    let there: Vec<usize> = (0..2001).filter(|index| found[*index].is_some()).collect();
    assert_eq!(there, [0, 1999]);
    let sent: Vec<usize> = server
        .seen()
        .iter()
        .map(|request| request.body.matches("\"p/").count())
        .collect();
    assert_eq!(sent, [1000, 1000, 1]);
    // Nothing is asked for nothing.
    let server = Server::start([]).await;
    assert!(http(&server.base_url).get_many(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_path_that_is_asked_for_twice_is_answered_twice() {
    let body = r#"{"entries":{"a":{"value":1,"type":"integer","revision":1}},"missing":["z"]}"#;
    let server = Server::start([Turn::json(200, body)]).await;
    let found = http(&server.base_url)
        .get_many(&["a", "z", "a"].map(path))
        .await
        .unwrap();
    assert_eq!(
        found.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, false, true]
    );
}

#[tokio::test]
async fn existence_is_a_head() {
    for (status, there) in [(200, true), (404, false)] {
        let server = Server::start([Turn::Send(format!(
            "HTTP/1.1 {status} Scripted\r\nconnection: close\r\n\r\n"
        ))])
        .await;
        assert_eq!(http(&server.base_url).exists(&path("links/dust")).await.unwrap(), there);
        assert_eq!(server.lines(), [format!("HEAD {ENTRIES}/links/dust")]);
    }
    for (status, kind) in [
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Unauthorized),
        (400, ErrorKind::InvalidParams),
    ] {
        let server = Server::start([Turn::Send(format!(
            "HTTP/1.1 {status} Scripted\r\nconnection: close\r\n\r\n"
        ))])
        .await;
        assert_eq!(
            http(&server.base_url).exists(&path("a")).await.unwrap_err().kind(),
            kind
        );
    }
}

#[tokio::test]
async fn a_server_without_head_is_asked_for_a_key() {
    let no_head = || Turn::Send("HTTP/1.1 405 Scripted\r\nconnection: close\r\n\r\n".to_owned());
    let query = format!("GET {ENTRIES}?pattern=links/dust/**&select=keys&limit=1");
    let keys = Turn::json(200, r#"{"items":["links/dust/title"],"next_cursor":null}"#);
    let server = Server::start([no_head(), keys]).await;
    assert!(http(&server.base_url).exists(&path("links/dust")).await.unwrap());
    assert_eq!(server.lines()[1], query);
    // The query does not see a leaf.
    let leaf = Turn::json(200, r#"{"path":"links/dust","value":1,"type":"integer","revision":1}"#);
    for (last, there) in [(leaf, true), (Turn::json(404, ""), false)] {
        let server = Server::start([no_head(), Turn::json(200, EMPTY), last]).await;
        assert_eq!(http(&server.base_url).exists(&path("links/dust")).await.unwrap(), there);
        assert_eq!(
            server.lines()[1..],
            [query.clone(), format!("GET {ENTRIES}/links/dust")]
        );
    }
}

#[tokio::test]
async fn kinds_are_those_of_the_store_where_it_says_them() {
    for (kind, value, expected) in [
        ("string", "[1]", ValueKind::List),
        ("list", "[1]", ValueKind::List),
        ("map", "\"29.99\"", ValueKind::String),
        ("map", r#"{"_type":"file"}"#, ValueKind::Map),
        ("counter", "3", ValueKind::Counter),
        ("tensor", "1.5", ValueKind::Float),
    ] {
        let body = format!(r#"{{"path":"a","value":{value},"type":"{kind}","revision":1}}"#);
        let server = Server::start([Turn::json(200, &body)]).await;
        let entry = http(&server.base_url).get(&path("a")).await.unwrap().unwrap();
        assert_eq!((entry.kind, entry.value), (expected, json(value)));
    }
}

#[tokio::test]
async fn deep_and_exact_values_come_through() {
    let deep = format!("{}1{}", "{\"d\":".repeat(200), "}".repeat(200));
    let exact = r#"[18446744073709551616,1.0,1e3,"\u00e9"]"#;
    for value in [deep.as_str(), exact] {
        let body = format!(r#"{{"path":"a","value":{value},"type":"map","revision":1}}"#);
        let server = Server::start([Turn::json(200, &body)]).await;
        let entry = http(&server.base_url).get(&path("a")).await.unwrap().unwrap();
        assert_eq!(entry.value.json(), value);
    }
}
