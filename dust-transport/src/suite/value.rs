//! Values: what comes back is what went in.

use super::probe::{Probe, json, path, set};
use crate::model::{Op, Path, Value, ValueKind};
use crate::transport::Transport;

/// Each JSON text has its kind, arrays are lists.
pub async fn kinds_follow_the_json_text(transport: &dyn Transport) {
    let store = Probe(transport);
    for (text, kind) in [
        (r#""text""#, ValueKind::String),
        (r#""""#, ValueKind::String),
        ("0", ValueKind::Integer),
        ("-12", ValueKind::Integer),
        ("1.0", ValueKind::Float),
        ("1e3", ValueKind::Float),
        ("true", ValueKind::Boolean),
        ("false", ValueKind::Boolean),
        ("null", ValueKind::Null),
        ("[]", ValueKind::List),
        (r#"[{"a":{}}]"#, ValueKind::List),
    ] {
        store.set("v", text).await;
        let entry = store.entry("v").await.expect("the leaf");
        assert_eq!(entry.kind, kind, "the kind of {text}");
        assert_eq!(entry.value, json(text));
        let listed = store.dump().await;
        assert_eq!(listed, [entry], "a list gives the same entry as a get");
    }
}

/// Numbers come back exactly, however large.
pub async fn numbers_are_exact(transport: &dyn Transport) {
    let store = Probe(transport);
    for text in [
        "0",
        "-1",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        "123456789012345678901234567890123456789012345678901234567890",
    ] {
        store.set("v", text).await;
        assert_eq!(store.value("v").await.json(), text);
        assert_eq!(store.entry("v").await.expect("the leaf").kind, ValueKind::Integer);
        store.set("v", &format!("[{text}]")).await;
        assert_eq!(store.value("v").await.json(), format!("[{text}]"));
    }
    for number in [
        0.1,
        1.0,
        -0.5,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        1.0e21,
        0.1 + 0.2,
        9_007_199_254_740_993.0,
    ] {
        store
            .write([Op::set(
                path("v"),
                Value::from_serialize(&number).expect("a finite number"),
            )])
            .await;
        let back: f64 = store.value("v").await.to().expect("a float");
        assert_eq!(back.to_bits(), number.to_bits(), "{number} came back as {back}");
    }
}

/// A null is a leaf like any other.
pub async fn null_is_a_leaf(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("r", r#"{"a":null}"#).await;
    let entry = store.entry("r/a").await.expect("the leaf");
    assert!(entry.value.is_null());
    assert_eq!(entry.kind, ValueKind::Null);
    assert!(store.exists("r/a").await);
    store.assert_value("r", r#"{"a":null}"#).await;
}

/// Strings of any content come back as they were.
pub async fn strings_come_back(transport: &dyn Transport) {
    let store = Probe(transport);
    for text in [
        "",
        " ",
        "\0",
        "a\0b",
        "\u{1}\u{1f}\u{7f}",
        "\"\\/",
        "line\nbreak\r\n\t",
        "日本語 🦀 e\u{301}",
        "\u{10ffff}",
        "\u{feff}",
    ] {
        store.write([Op::set(path("v"), text)]).await;
        assert_eq!(store.value("v").await.str().as_deref(), Some(text));
    }
    store.set("v", r#""\ud83e\udd80\u00e9\/""#).await;
    assert_eq!(store.value("v").await.str().as_deref(), Some("🦀é/"));
}

/// A string of ten megabytes comes back whole.
pub async fn huge_strings_come_back(transport: &dyn Transport) {
    let store = Probe(transport);
    let huge = "0123456789abcdeé".repeat(10 * 1024 * 1024 / 17);
    store
        .write([Op::set(path("r/huge"), huge.as_str()), set("r/small", "1")])
        .await;
    let back = store.value("r/huge").await;
    assert!(
        back.str().as_deref() == Some(&huge),
        "{} bytes came back as {}",
        huge.len(),
        back.json().len()
    );
    assert!(
        store.value("r").await.json().len() > huge.len(),
        "the subtree holds it too"
    );
    store.set("r/huge", "2").await;
    store.assert_value("r", r#"{"huge":2,"small":1}"#).await;
}

/// A decimal or a date-time in its envelope is stored with that kind and read as the plain string.
pub async fn typed_envelopes_read_as_strings(transport: &dyn Transport) {
    let store = Probe(transport);
    let decimal = r#"{"_typed":"29.99","_type":"decimal"}"#;
    let datetime = r#"{"_type":"datetime","_typed":"2024-06-01T12:00:00Z"}"#;
    store
        .set("r", &format!(r#"{{"price":{decimal},"at":{datetime}}}"#))
        .await;
    let price = store.entry("r/price").await.expect("the decimal");
    assert_eq!((price.value.json(), price.kind), (r#""29.99""#, ValueKind::Decimal));
    let at = store.entry("r/at").await.expect("the date-time");
    assert_eq!(
        (at.value.json(), at.kind),
        (r#""2024-06-01T12:00:00Z""#, ValueKind::Datetime)
    );
    store
        .assert_value("r", r#"{"price":"29.99","at":"2024-06-01T12:00:00Z"}"#)
        .await;
    store.set("p", decimal).await;
    assert_eq!(store.entry("p").await.expect("the decimal").kind, ValueKind::Decimal);
    if !store.has_value_ops() {
        return;
    }
    store
        .write([Op::merge(path("m"), json(&format!(r#"{{"price":{decimal}}}"#)))])
        .await;
    let merged = store.entry("m/price").await.expect("the decimal");
    assert_eq!((merged.value.json(), merged.kind), (r#""29.99""#, ValueKind::Decimal));
}

/// Other envelopes are one leaf, kept as they are; only leases have a kind of their own.
pub async fn other_envelopes_are_one_leaf(transport: &dyn Transport) {
    let store = Probe(transport);
    for (text, kind) in [
        (r#"{"_type":"file","hash":"sha256:0","meta":{"a":1}}"#, ValueKind::Map),
        (r#"{"_typed":[1],"_type":"tensor"}"#, ValueKind::Map),
        (r#"{"_typed":"no number","_type":"decimal"}"#, ValueKind::Map),
    ] {
        store.set("r", &format!(r#"{{"a":{text}}}"#)).await;
        let entry = store.entry("r/a").await.expect("one leaf");
        assert_eq!((&entry.value, entry.kind), (&json(text), kind), "{text}");
        store.assert_value("r", &format!(r#"{{"a":{text}}}"#)).await;
    }
    store.set("r", r#"{"_type":"tensor","size":1}"#).await;
    assert_eq!(
        store.leaves().await,
        [r#"r/_type="tensor""#, "r/size=1"],
        "an unknown `_type` alone is a map"
    );
}

/// The deepest values come back, also from the end of the longest path.
pub async fn deep_values_come_back(transport: &dyn Transport) {
    let store = Probe(transport);
    let deep = format!("{}{}", "[".repeat(Value::LEVELS_MAX), "]".repeat(Value::LEVELS_MAX));
    let at = Path::new(vec!["d"; Path::SEGMENTS_MAX]).expect("a path");
    store.set(at.as_str(), &deep).await;
    assert_eq!(store.value(at.as_str()).await, json(&deep));
    let top = store.value("d").await;
    let (open, close) = (
        r#"{"d":"#.repeat(Path::SEGMENTS_MAX - 1),
        "}".repeat(Path::SEGMENTS_MAX - 1),
    );
    assert!(
        top.json() == format!("{open}{deep}{close}"),
        "the subtree is assembled whole"
    );
}
