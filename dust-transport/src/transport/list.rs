//! A list of leaves, page by page.

use crate::model::{Entry, Path, Pattern};

/// Which leaves a list covers.
///
/// ```
/// use dust_transport::transport::{List, Scope};
///
/// let range = Scope::Range { from: "links/a".parse()?, to: "links/b".parse()? };
/// assert_eq!(List::new(range).limit, 50);
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Paths that match the pattern.
    Pattern(Pattern),
    /// `from <= path < to` in the byte order of rendered paths.
    Range {
        /// First path, inclusive.
        from: Path,
        /// End, exclusive.
        to: Path,
    },
    /// Strict descendants of the path: what `path/**` matches, without escaping anything.
    Below(Path),
}

/// What a list returns of each leaf.
///
/// ```
/// use dust_transport::transport::{List, Select};
///
/// let slugs = List::below("links".parse()?).select(Select::Prefixes);
/// assert_eq!(slugs.select, Select::Prefixes);
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Select {
    /// Whole entries.
    #[default]
    Entries,
    /// Paths.
    Keys,
    /// The distinct `base/<next segment>` of each page; needs a scope `**`, `base/**` or `Below`. A range is refused with
    /// `unsupported_select`, another pattern with `invalid_pattern_for_prefixes`. A prefix may repeat on the next page,
    /// since the limit counts leaves.
    Prefixes,
}

/// The order of a list, by the bytes of rendered paths.
///
/// ```
/// use dust_transport::transport::{List, Order};
///
/// let newest_first = List::below("days".parse()?).order(Order::Desc).limit(7);
/// assert_eq!(newest_first.order, Order::Desc);
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Ascending.
    #[default]
    Asc,
    /// Descending.
    Desc,
}

/// One page of a list.
///
/// ```
/// use dust_transport::model::Path;
/// use dust_transport::transport::{List, Order, Select};
/// let newest = List::below(Path::parse("links")?).order(Order::Desc).select(Select::Keys).limit(10);
/// assert_eq!(newest.after, None);
/// # Ok::<(), dust_transport::model::PathError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Which leaves.
    pub scope: Scope,
    /// What of them.
    pub select: Select,
    /// In which order.
    pub order: Order,
    /// At most so many leaves, 1 to `Capabilities::page_leaves_max`.
    pub limit: usize,
    /// Continue strictly after this path: the cursor of the page before.
    pub after: Option<Path>,
}

/// The items of a page, by [`Select`].
///
/// ```
/// use dust_transport::transport::Items;
///
/// let items = Items::Keys(vec!["links/a".parse()?, "links/b".parse()?]);
/// assert_eq!(items.len(), 2);
/// assert_eq!(items.into_paths()[1].as_str(), "links/b");
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Items {
    /// For `Select::Entries`.
    Entries(Vec<Entry>),
    /// For `Select::Keys`.
    Keys(Vec<Path>),
    /// For `Select::Prefixes`.
    Prefixes(Vec<Path>),
}

/// A page of a list.
///
/// ```
/// use dust_transport::transport::{Items, List, Page};
///
/// let first = Page { items: Items::Keys(vec!["links/a".parse()?]), next: Some("links/a".parse()?) };
/// let more = List::below("links".parse()?).after(first.next);
/// assert_eq!(more.after.as_ref().map(|path| path.as_str()), Some("links/a"));
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The items.
    pub items: Items,
    /// Where the next page starts; `None` when nothing more matched.
    pub next: Option<Path>,
}

impl List {
    /// The limit of a list that names none.
    pub const LIMIT_DEFAULT: usize = 50;

    /// The first page of entries in ascending order, at most [`LIMIT_DEFAULT`](List::LIMIT_DEFAULT) leaves.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            select: Select::Entries,
            order: Order::Asc,
            limit: Self::LIMIT_DEFAULT,
            after: None,
        }
    }

    /// Lists what is strictly below a path.
    #[must_use]
    pub fn below(path: Path) -> Self {
        Self::new(Scope::Below(path))
    }

    /// Lists what matches a pattern.
    #[must_use]
    pub fn pattern(pattern: Pattern) -> Self {
        Self::new(Scope::Pattern(pattern))
    }

    /// Lists `from <= path < to` in the byte order of rendered paths.
    #[must_use]
    pub fn range(from: Path, to: Path) -> Self {
        Self::new(Scope::Range { from, to })
    }

    /// The same with this limit.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The same in this order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The same with this selection.
    #[must_use]
    pub fn select(mut self, select: Select) -> Self {
        self.select = select;
        self
    }

    /// The same, continued strictly after this cursor; `None` starts over.
    #[must_use]
    pub fn after(mut self, after: impl Into<Option<Path>>) -> Self {
        self.after = after.into();
        self
    }
}

impl Items {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Entries(entries) => entries.len(),
            Self::Keys(paths) | Self::Prefixes(paths) => paths.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries; empty for another selection.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry> {
        match self {
            Self::Entries(entries) => entries,
            Self::Keys(_) | Self::Prefixes(_) => Vec::new(),
        }
    }

    /// The paths, whatever the selection.
    #[must_use]
    pub fn into_paths(self) -> Vec<Path> {
        match self {
            Self::Entries(entries) => entries.into_iter().map(|entry| entry.path).collect(),
            Self::Keys(paths) | Self::Prefixes(paths) => paths,
        }
    }
}
