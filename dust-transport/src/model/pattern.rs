use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::path::{check, push_segment};
use super::{Path, PathError};

/// A glob over paths, such as `links/*/title` or `posts/**`.
///
/// The text follows the grammar of [`Path`]. A segment that is exactly `*` matches one segment; exactly `**` matches one
/// segment or more and stands only last; `\*` and `\**` match a literal `*` and `**`; every other segment matches itself,
/// so `foo*` is no wildcard. `posts/**` does not match `posts`.
///
/// A pattern without a wildcard matches the path that it spells. (In the service that Dust follows such a pattern
/// matches nothing when it is used to list; here it does what it says.)
///
/// ```
/// use dust_transport::model::{Path, Pattern};
///
/// let titles = Pattern::parse("links/*/title")?;
/// assert!(titles.matches(&Path::parse("links/dust/title")?));
/// assert!(!titles.matches(&Path::parse("links/dust/url")?));
/// assert_eq!(titles.literal_base(), Some(Path::parse("links")?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    /// What each segment but a last `**` matches.
    segments: Arc<[Matcher]>,
    /// The last segment is `**`.
    open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Matcher {
    Literal(Box<str>),
    One,
}

/// Why a text is not a [`Pattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// The text does not follow the grammar of paths.
    #[error("a pattern follows the grammar of paths")]
    Path(#[from] PathError),
    /// `**` is not the last segment.
    #[error("`**` must be the last segment of a pattern")]
    WildcardManyNotTail,
}

impl PatternError {
    /// The reason as it stands on the wire.
    ///
    /// ```
    /// use dust_transport::model::Pattern;
    /// assert_eq!(Pattern::parse("a/**/z").unwrap_err().code(), "wildcard_many_not_tail");
    /// assert_eq!(Pattern::parse("a//b").unwrap_err().code(), "empty_segment");
    /// ```
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Path(error) => error.code(),
            Self::WildcardManyNotTail => "wildcard_many_not_tail",
        }
    }
}

impl Pattern {
    /// The most bytes of a pattern: any path has room for its escapes and a `/**`.
    pub const BYTES_MAX: usize = 2 * Path::BYTES_MAX;

    /// Reads a pattern.
    ///
    /// ```
    /// use dust_transport::model::{Path, Pattern};
    /// let starred = Pattern::parse(r"files/\*")?;
    /// assert!(starred.matches(&Path::parse("files/*")?));
    /// assert!(!starred.matches(&Path::parse("files/x")?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Every [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        check(text, Self::BYTES_MAX, Path::SEGMENTS_MAX + 1)?;
        let (body, open) = match text.strip_suffix("**") {
            Some("") => ("", true),
            Some(body) if body.ends_with('/') => (body.trim_end_matches('/'), true),
            _ => (text, false),
        };
        let mut segments = Vec::new();
        for rendered in body.split('/').filter(|segment| !segment.is_empty()) {
            segments.push(match rendered {
                "*" => Matcher::One,
                "**" => return Err(PatternError::WildcardManyNotTail),
                r"\*" | r"\**" => Matcher::Literal(Box::from(rendered.trim_start_matches('\\'))),
                other => Matcher::Literal(Box::from(other)),
            });
        }
        Ok(Self {
            text: Arc::from(text),
            segments: segments.into(),
            open,
        })
    }

    /// The pattern of what is strictly below a path; `None` if the grammar cannot say it, because a segment of the path
    /// is itself `\*` or `\**`.
    ///
    /// `Scope::Below` and `Interest::Touching` take any path.
    ///
    /// ```
    /// use dust_transport::model::{Path, Pattern};
    /// assert_eq!(Pattern::below(&Path::parse("notes/*")?).unwrap().as_str(), r"notes/\*/**");
    /// assert_eq!(Pattern::below(&Path::parse(r"notes/\*")?), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn below(path: &Path) -> Option<Self> {
        let mut text = String::with_capacity(path.as_str().len() + 3);
        for segment in path.segments() {
            match &*segment {
                r"\*" | r"\**" => return None,
                "*" | "**" => text.push('\\'),
                _ => {}
            }
            push_segment(&mut text, &segment);
            text.push('/');
        }
        text.push_str("**");
        Self::parse(&text).ok()
    }

    /// The text of the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the path matches.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        let mut segments = path.as_str().split('/');
        for matcher in &*self.segments {
            let Some(segment) = segments.next() else {
                return false;
            };
            if matches!(matcher, Matcher::Literal(literal) if **literal != *segment) {
                return false;
            }
        }
        segments.next().is_some() == self.open
    }

    /// The longest literal path that every match is at or below; `None` if the first segment is a wildcard.
    ///
    /// For a pattern without a wildcard it is the one path that matches. A store scans this path and its descendants.
    ///
    /// ```
    /// use dust_transport::model::{Path, Pattern};
    /// assert_eq!(Pattern::parse("a/b/*/c")?.literal_base(), Some(Path::parse("a/b")?));
    /// assert_eq!(Pattern::parse("a/b")?.literal_base(), Some(Path::parse("a/b")?));
    /// assert_eq!(Pattern::parse("**")?.literal_base(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn literal_base(&self) -> Option<Path> {
        let mut text = String::new();
        for matcher in &*self.segments {
            let Matcher::Literal(literal) = matcher else {
                break;
            };
            if !text.is_empty() {
                text.push('/');
            }
            text.push_str(literal);
        }
        // A base over the limits of a path matches nothing that can exist; no base is then merely slower.
        Path::parse(&text).ok()
    }

    /// Whether the pattern has a wildcard; without one it matches exactly one path.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.open || self.segments.contains(&Matcher::One)
    }

    /// How many segments the items of `Select::Prefixes` have: those before the `**` and the next one. `None` if the
    /// pattern does not end in `**`, which that selection needs.
    ///
    /// ```
    /// use dust_transport::model::{Path, Pattern};
    /// let depth = Pattern::parse("links/**")?.prefixes_depth().unwrap();
    /// assert_eq!(Path::parse("links/dust/title")?.prefix(depth), Some(Path::parse("links/dust")?));
    /// assert_eq!(Pattern::parse("links/*")?.prefixes_depth(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn prefixes_depth(&self) -> Option<usize> {
        self.open.then_some(self.segments.len() + 1)
    }
}

/// `**`: every path.
impl Default for Pattern {
    fn default() -> Self {
        Self {
            text: Arc::from("**"),
            segments: Arc::from([]),
            open: true,
        }
    }
}

// The text decides everything else.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl std::hash::Hash for Pattern {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", &self.text)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}
