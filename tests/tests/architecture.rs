//! The arrows between the crates, and what a reviewer would otherwise repeat.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The arrows of the design: each crate, and the crates of the house that it may name.
const ARROWS: [(&str, &[&str]); 6] = [
    ("dust-derive", &[]),
    ("dust-layer", &[]),
    ("dust-orm", &["dust-derive", "dust-store", "dust-transport"]),
    ("dust-server", &["dust-store", "dust-transport"]),
    ("dust-store", &["dust-layer", "dust-transport"]),
    ("dust-transport", &[]),
];

/// What only the embedded store needs, but for the file of a synced one.
const ENGINES: [&str; 4] = ["dust-layer", "dust-store", "foundationdb-tuple", "redb"];

/// What only a remote transport needs.
const NETWORK: [&str; 6] = ["axum", "hyper", "reqwest", "rustls", "tokio-tungstenite", "ureq"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace is above")
        .to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// The part of `cargo metadata` that is looked at.
#[derive(serde::Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(serde::Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// The normal dependencies of each package of the workspace, optional ones included.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Metadata = serde_json::from_str(&metadata).expect("cargo prints JSON");
    let normal = |package: Package| {
        let dependencies = package
            .dependencies
            .into_iter()
            .filter(|dependency| dependency.kind.is_none());
        (package.name, dependencies.map(|dependency| dependency.name).collect())
    };
    metadata.packages.into_iter().map(normal).collect()
}

/// The packages that a build of `dust-orm` with these arguments pulls.
fn tree(arguments: &[&str]) -> BTreeSet<String> {
    let all = [
        &["tree", "-e", "normal", "--prefix", "none", "--format", "{p}"],
        arguments,
    ]
    .concat();
    cargo(&all)
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_arrows_between_the_crates_are_those_of_the_design() {
    let dependencies = dependencies();
    for (name, allowed) in ARROWS {
        let found = dependencies.get(name).unwrap_or_else(|| panic!("{name} is a member"));
        let house: BTreeSet<&str> = found
            .iter()
            .map(String::as_str)
            .filter(|name| name.starts_with("dust-"))
            .collect();
        assert_eq!(house, allowed.iter().copied().collect(), "{name}");
    }
    let named: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let is_part = |name: &&str| !name.starts_with("dust-tests") && !name.starts_with("dust-benches");
    let members: BTreeSet<&str> = dependencies.keys().map(String::as_str).filter(is_part).collect();
    assert_eq!(members, named, "a new crate needs its arrows here");
}

#[test]
fn the_derive_depends_on_syn_quote_and_proc_macro2() {
    let expected = ["proc-macro2", "quote", "syn"].map(str::to_owned).into();
    assert_eq!(dependencies()["dust-derive"], expected);
}

/// `dust-layer` cannot inherit the workspace's lints, since a `forbid` cannot be lowered for one function.
#[test]
fn unsafe_code_is_forbidden_everywhere_and_allowed_in_one_function() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("readable");
    let lints = |text: &str, begin: &str| -> BTreeSet<String> {
        let lines = text.lines().skip_while(|line| *line != begin);
        let lines = lines.take_while(|line| !line.starts_with("[profile") && !line.starts_with("[features"));
        let lint = |line: &str| line.contains(" = ").then(|| line.to_owned());
        lines.filter_map(lint).collect()
    };
    let mut expected = lints(&read("Cargo.toml"), "[workspace.lints.rust]");
    assert!(expected.remove(r#"unsafe_code = "forbid""#), "the workspace forbids it");
    expected.insert(r#"unsafe_code = "deny""#.to_owned());
    assert_eq!(lints(&read("dust-layer/Cargo.toml"), "[lints.rust]"), expected);
    let mark = ["unsafe", " {"].concat();
    let unsafe_files: Vec<_> = sources()
        .into_iter()
        // Not of the workspace: it measures an engine whose open is unsafe.
        .filter(|(path, text)| !path.starts_with(root().join("benches/engines")) && text.contains(&mark))
        .map(|(path, text)| (path, text.matches(&mark).count()))
        .collect();
    let network = root().join("dust-layer/src/engine/foundationdb/network.rs");
    assert_eq!(unsafe_files, [(network, 1)]);
}

#[test]
fn without_features_dust_orm_pulls_no_engine_and_no_network() {
    let pulled = tree(&["-p", "dust-orm", "--no-default-features"]);
    for name in ENGINES.iter().chain(&NETWORK) {
        assert!(!pulled.contains(*name), "{name}");
    }
    let embedded = tree(&["-p", "dust-orm"]);
    assert!(
        ENGINES.iter().all(|name| embedded.contains(*name)),
        "the check above sees engines where they are"
    );
}

#[test]
fn with_http_alone_dust_orm_pulls_a_network_and_no_engine() {
    let pulled = tree(&["-p", "dust-orm", "--no-default-features", "--features", "http"]);
    for name in ENGINES {
        assert!(!pulled.contains(name), "{name}");
    }
    // One TLS stack, with one provider.
    for name in ["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl"] {
        assert!(!pulled.contains(name), "{name}");
    }
    for name in ["reqwest", "ring", "rustls"] {
        assert!(pulled.contains(name), "the check above sees what is there: {name}");
    }
}

#[test]
fn a_synced_store_has_the_engine_of_its_file_and_no_store() {
    let pulled = tree(&["-p", "dust-orm", "--no-default-features", "--features", "sync"]);
    assert!(pulled.contains("redb"));
    for name in ENGINES.iter().filter(|name| **name != "redb") {
        assert!(!pulled.contains(*name), "{name}");
    }
}

#[test]
fn the_model_and_the_trait_have_no_network_stack() {
    let pulled = tree(&["-p", "dust-transport"]);
    for name in NETWORK {
        assert!(!pulled.contains(name), "{name}");
    }
}

/// Every Rust file of the repository that git would take.
fn sources() -> Vec<(PathBuf, String)> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .current_dir(root())
        .output()
        .expect("git runs");
    let names = String::from_utf8(output.stdout).expect("names are UTF-8");
    let paths = names.lines().map(|name| root().join(name)).filter(|path| path.exists());
    let sources: Vec<_> = paths
        .map(|path| (path.clone(), std::fs::read_to_string(path).expect("readable")))
        .collect();
    assert!(sources.len() > 50, "the sources were found");
    sources
}

#[test]
fn nothing_unfinished_is_left_in_the_sources() {
    // In pieces, so that this file does not find itself.
    let marks = [
        ["to", "do!("],
        ["unimple", "mented!("],
        ["FIX", "ME"],
        ["XX", "X "],
        ["#[ig", "nore"],
        ["db", "g!("],
    ];
    for (path, text) in sources() {
        for mark in marks.map(|parts| parts.concat()) {
            assert!(!text.contains(&mark), "{} in {}", mark, path.display());
        }
    }
}

#[test]
fn no_test_sleeps_and_no_file_pins_a_toolchain() {
    let sleep = ["thread::", "sleep("].concat();
    let tokio_sleep = ["time::", "sleep("].concat();
    for (path, text) in sources() {
        assert!(
            !text.contains(&sleep) && !text.contains(&tokio_sleep),
            "a sleep in {}",
            path.display()
        );
    }
    assert!(!root().join("rust-toolchain").exists() && !root().join("rust-toolchain.toml").exists());
}
