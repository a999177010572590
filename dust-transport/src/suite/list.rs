//! Lists: scope, order, selection, pages.

use super::probe::{Probe, delete, json, path, pattern, set};
use crate::model::{Path, Pattern};
use crate::transport::{Items, List, Order, Select, Transport};

/// Paths in the order of their bytes.
const SORTED: [&str; 12] = [
    "Links/foo",
    "links",
    "links/*/x",
    "links/a",
    "links/foo",
    "links/foo-bar/t",
    "links/foo.bar/t",
    "links/foo/title",
    "links/foo/url",
    "links/foo0",
    "links-old/a",
    "links~1x/a",
];

/// The fixture in byte order: `-` comes before `/`, so some of it moves.
fn sorted() -> Vec<&'static str> {
    let mut paths = SORTED.to_vec();
    paths.sort_unstable();
    paths
}

async fn fill(store: Probe<'_>) {
    // Written in an order that is not the sorted one; the leaves above go first, since they clear what is below.
    let mut paths = SORTED.to_vec();
    paths.sort_unstable_by_key(|at| (at.split('/').count(), std::cmp::Reverse(*at)));
    store.write(paths.iter().map(|at| set(at, &format!("{at:?}")))).await;
}

/// What `select` keeps of the fixture, in order.
fn kept(select: impl Fn(&Path) -> bool) -> Vec<&'static str> {
    sorted().into_iter().filter(|at| select(&path(at))).collect()
}

/// Leaves are listed in the byte order of rendered paths, whole.
pub async fn list_is_in_byte_order(transport: &dyn Transport) {
    let store = Probe(transport);
    fill(store).await;
    let listed = store.entries(List::pattern(Pattern::default())).await;
    assert_eq!(
        listed.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(),
        sorted()
    );
    for entry in &listed {
        assert_eq!(
            entry.value,
            json(&format!("{:?}", entry.path.as_str())),
            "each leaf with its own value"
        );
        assert_eq!(
            store.entry(entry.path.as_str()).await.as_ref(),
            Some(entry),
            "a get gives the same entry"
        );
    }
    let mut backward = store.paths(List::pattern(Pattern::default()).order(Order::Desc)).await;
    backward.reverse();
    assert_eq!(backward, sorted());
}

/// A list of nothing is one empty page.
pub async fn list_of_nothing_is_one_empty_page(transport: &dyn Transport) {
    let store = Probe(transport);
    let lists = || {
        [
            List::pattern(Pattern::default()),
            List::below(path("r")),
            List::range(path("a"), path("z")),
        ]
    };
    for list in lists() {
        assert_eq!(store.pages(list).await, [Items::Entries(Vec::new())]);
    }
    for list in lists() {
        assert_eq!(store.pages(list.select(Select::Keys)).await, [Items::Keys(Vec::new())]);
    }
}

/// A pattern lists exactly what it matches, in both orders.
pub async fn list_by_pattern(transport: &dyn Transport) {
    let store = Probe(transport);
    fill(store).await;
    for text in [
        "**",
        "*",
        "*/*",
        "links",
        "links/*",
        "links/**",
        "links/foo",
        "links/foo/**",
        "links/foo/title",
        "links/*/title",
        "links/*/t",
        "links/foo*",
        r"links/\*/x",
        r"links/\*/**",
        "links~1x/*",
        "*/foo",
        "*/*/**",
        "none/**",
        "links/none",
    ] {
        let pattern = pattern(text);
        let expected = kept(|at| pattern.matches(at));
        assert_eq!(
            store.paths(List::pattern(pattern.clone()).limit(2)).await,
            expected,
            "`{text}`"
        );
        let mut backward = store.paths(List::pattern(pattern).order(Order::Desc).limit(2)).await;
        backward.reverse();
        assert_eq!(backward, expected, "`{text}` backward");
    }
}

/// `Below` lists what is strictly below a path, taken literally.
pub async fn list_below(transport: &dyn Transport) {
    let store = Probe(transport);
    fill(store).await;
    for at in [
        "links",
        "links/foo",
        "links/*",
        "links/foo/title",
        "none",
        "links~1x",
        "Links",
    ] {
        let base = path(at);
        let expected = kept(|path| base.is_ancestor_of(path));
        assert_eq!(store.paths(List::below(base.clone())).await, expected, "below `{at}`");
        let mut backward = store.paths(List::below(base).order(Order::Desc).limit(1)).await;
        backward.reverse();
        assert_eq!(backward, expected, "below `{at}`, backward");
    }
}

/// A range is from its first path, inclusive, to its end, exclusive, by bytes.
pub async fn list_by_range(transport: &dyn Transport) {
    let store = Probe(transport);
    fill(store).await;
    for (from, to) in [
        ("links", "links/foo"),
        ("links/foo", "links/foo/title"),
        ("links/foo-", "links/foo/u"),
        ("A", "~0"),
        ("links/foo", "links/foo"),
        ("links/foo", "links/a"),
        ("links/none", "links/nope"),
    ] {
        let (from, to) = (path(from), path(to));
        let expected = kept(|at| *at >= from && *at < to);
        let list = || List::range(from.clone(), to.clone());
        assert_eq!(store.paths(list()).await, expected, "from `{from}` to `{to}`");
        let mut backward = store.paths(list().order(Order::Desc).limit(2)).await;
        backward.reverse();
        assert_eq!(backward, expected, "from `{from}` to `{to}`, backward");
    }
}

/// Pages of any size give every leaf once; the last page says that it is the last, also when it is full.
pub async fn pages_give_every_leaf_once(transport: &dyn Transport) {
    let store = Probe(transport);
    fill(store).await;
    for limit in 1..=SORTED.len() + 1 {
        for order in [Order::Asc, Order::Desc] {
            let pages = store
                .pages(List::pattern(Pattern::default()).limit(limit).order(order))
                .await;
            assert_eq!(pages.len(), SORTED.len().div_ceil(limit), "pages of {limit}");
            let full = &pages[..pages.len() - 1];
            assert!(
                full.iter().all(|page| page.len() == limit),
                "every page but the last is full"
            );
            let mut paths: Vec<_> = pages.into_iter().flat_map(Items::into_paths).collect();
            if order == Order::Desc {
                paths.reverse();
            }
            assert_eq!(
                paths.iter().map(Path::as_str).collect::<Vec<_>>(),
                sorted(),
                "pages of {limit}"
            );
        }
    }
}

/// A page that is cut by its pattern still says whether more follows.
pub async fn pages_look_ahead_to_the_next_match(transport: &dyn Transport) {
    let store = Probe(transport);
    store
        .write((0..30).map(|n| set(&format!("r/{n:02}/{}", if n % 10 == 0 { "yes" } else { "no" }), "1")))
        .await;
    let list = |limit| List::pattern(pattern("r/*/yes")).limit(limit);
    assert_eq!(store.pages(list(3)).await.len(), 1, "three of three is the last page");
    assert_eq!(store.pages(list(2)).await.len(), 2);
    assert_eq!(store.paths(list(1)).await, ["r/00/yes", "r/10/yes", "r/20/yes"]);
}

/// A cursor continues strictly after its path, whether or not that is there.
pub async fn cursors_need_not_exist(transport: &dyn Transport) {
    let store = Probe(transport);
    store.write(["r/a", "r/b", "r/c", "r/d"].map(|at| set(at, "1"))).await;
    let list = |order, after: &str| List::below(path("r")).order(order).after(path(after));
    assert_eq!(store.paths(list(Order::Asc, "r/b")).await, ["r/c", "r/d"]);
    assert_eq!(store.paths(list(Order::Desc, "r/b")).await, ["r/a"]);
    store.write([delete("r/b")]).await;
    assert_eq!(store.paths(list(Order::Asc, "r/b")).await, ["r/c", "r/d"]);
    assert_eq!(store.paths(list(Order::Desc, "r/c")).await, ["r/a"]);
    assert_eq!(
        store.paths(list(Order::Asc, "a")).await,
        ["r/a", "r/c", "r/d"],
        "a cursor before the scope"
    );
    assert_eq!(
        store.paths(list(Order::Asc, "z")).await,
        [""; 0],
        "a cursor behind the scope"
    );
    assert_eq!(store.paths(list(Order::Desc, "z")).await, ["r/d", "r/c", "r/a"]);
    assert_eq!(store.paths(list(Order::Desc, "a")).await, [""; 0]);
}

/// `Keys` gives the paths of what `Entries` gives.
pub async fn keys_are_the_paths_of_entries(transport: &dyn Transport) {
    let store = Probe(transport);
    fill(store).await;
    let pages = store
        .pages(List::below(path("links")).select(Select::Keys).limit(3))
        .await;
    assert!(
        pages.iter().all(|page| matches!(page, Items::Keys(_))),
        "keys, not entries: {pages:?}"
    );
    let keys: Vec<_> = pages.into_iter().flat_map(Items::into_paths).collect();
    assert_eq!(
        keys.iter().map(Path::as_str).collect::<Vec<_>>(),
        kept(|at| path("links").is_ancestor_of(at))
    );
}

/// `Prefixes` gives the distinct next segments below the base, sorted within each page.
pub async fn prefixes_are_distinct(transport: &dyn Transport) {
    let store = Probe(transport);
    fill(store).await;
    let children = [
        "links/*",
        "links/a",
        "links/foo",
        "links/foo-bar",
        "links/foo.bar",
        "links/foo0",
    ];
    for list in [List::below(path("links")), List::pattern(pattern("links/**"))] {
        let pages = store.pages(list.select(Select::Prefixes)).await;
        assert!(
            matches!(&pages[..], [Items::Prefixes(_)]),
            "one page of prefixes: {pages:?}"
        );
        assert_eq!(
            pages
                .into_iter()
                .flat_map(Items::into_paths)
                .map(|at| at.to_string())
                .collect::<Vec<_>>(),
            children
        );
    }
    let roots = store
        .paths(List::pattern(Pattern::default()).select(Select::Prefixes))
        .await;
    assert_eq!(roots, ["Links", "links", "links-old", "links~1x"]);
    assert_eq!(
        store
            .paths(List::below(path("links~1x")).select(Select::Prefixes))
            .await,
        ["links~1x/a"]
    );
    assert_eq!(
        store.paths(List::below(path("none")).select(Select::Prefixes)).await,
        [""; 0]
    );
}

/// The limit of a page of prefixes counts leaves, so a prefix may come again, but none is lost.
pub async fn prefix_pages_count_leaves(transport: &dyn Transport) {
    let store = Probe(transport);
    store
        .write(["r/a/1", "r/a/2", "r/a/3", "r/b", "r/c/1"].map(|at| set(at, "1")))
        .await;
    for limit in 1..6 {
        for order in [Order::Asc, Order::Desc] {
            let list = List::below(path("r"))
                .select(Select::Prefixes)
                .limit(limit)
                .order(order);
            let mut found = store.paths(list).await;
            found.sort_unstable();
            found.dedup();
            assert_eq!(found, ["r/a", "r/b", "r/c"], "pages of {limit}");
        }
    }
}

/// Prefixes of what has no base are refused.
pub async fn prefixes_need_a_base(transport: &dyn Transport) {
    let store = Probe(transport);
    for text in ["links", "links/*", "*", r"links/\**"] {
        let list = List::pattern(pattern(text)).select(Select::Prefixes);
        store.refused_list(list, "invalid_pattern_for_prefixes").await;
    }
    let range = List::range(path("a"), path("b")).select(Select::Prefixes);
    store.refused_list(range, "unsupported_select").await;
}

/// A limit of nothing, or beyond what is declared, is refused.
pub async fn limits_are_as_declared(transport: &dyn Transport) {
    let store = Probe(transport);
    let most = transport.capabilities().page_leaves_max;
    for limit in [0, most + 1, usize::MAX] {
        store
            .refused_list(List::below(path("r")).limit(limit), "invalid_params")
            .await;
    }
    assert_eq!(store.entries(List::below(path("r")).limit(most)).await, []);
}
