use std::borrow::{Borrow, Cow};
use std::fmt;
use std::iter::FusedIterator;
use std::str::{FromStr, Split};
use std::sync::Arc;

/// Where a value is: a non-empty list of non-empty segments, such as `links/dust/title`.
///
/// It is held in its rendered form: segments joined by `/`, and inside a segment `~` written `~0` and `/` written `~1`
/// (the escapes of RFC 6901). Nothing else is special; `.`, `*`, spaces and control characters other than NUL are
/// ordinary. A path is at most [`BYTES_MAX`](Path::BYTES_MAX) bytes long and [`SEGMENTS_MAX`](Path::SEGMENTS_MAX)
/// segments deep. Cloning is cheap. Order, equality and hash are those of the rendered bytes, so `links/foo-bar/t` comes
/// before `links/foo/title`.
///
/// ```
/// use dust_transport::model::Path;
///
/// let path = Path::new(["links", "a/b", "title"])?;
/// assert_eq!(path.as_str(), "links/a~1b/title");
/// assert_eq!(path.segments().nth(1).as_deref(), Some("a/b"));
/// assert_eq!(path.parent(), Some(Path::parse("links/a~1b")?));
/// assert!(Path::parse("links")?.is_ancestor_of(&path));
/// # Ok::<(), dust_transport::model::PathError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

/// Why a text or a list of segments is not a [`Path`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// There is no segment at all.
    #[error("a path needs at least one segment")]
    EmptyPath,
    /// A segment is empty: a slash leads, trails or is doubled.
    #[error("a path segment is empty")]
    EmptySegment,
    /// A `~` is followed by neither `0` nor `1`.
    #[error("a `~` in a path must be written `~0`, and a `/` inside a segment `~1`")]
    InvalidEscape,
    /// The rendered form is longer than [`Path::BYTES_MAX`].
    #[error("a path is at most {} bytes long", Path::BYTES_MAX)]
    TooLong,
    /// There are more than [`Path::SEGMENTS_MAX`] segments.
    #[error("a path has at most {} segments", Path::SEGMENTS_MAX)]
    TooDeep,
    /// A segment holds the character NUL.
    #[error("a path must not hold a NUL character")]
    Nul,
}

impl PathError {
    /// The reason as it stands on the wire.
    ///
    /// ```
    /// use dust_transport::model::Path;
    /// assert_eq!(Path::parse("users//alice").unwrap_err().code(), "empty_segment");
    /// ```
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::EmptyPath => "empty_path",
            Self::EmptySegment => "empty_segment",
            Self::InvalidEscape => "invalid_escape",
            Self::TooLong => "path_too_long",
            Self::TooDeep => "path_too_deep",
            Self::Nul => "path_nul",
        }
    }
}

/// Checks a rendered path in one pass, against the given limits.
pub(super) fn check(text: &str, bytes_max: usize, segments_max: usize) -> Result<(), PathError> {
    if text.is_empty() {
        return Err(PathError::EmptyPath);
    }
    if text.len() > bytes_max {
        return Err(PathError::TooLong);
    }
    let mut segments = 1;
    let mut previous = b'/';
    for byte in text.bytes() {
        if previous == b'~' && byte != b'0' && byte != b'1' {
            return Err(PathError::InvalidEscape);
        }
        match byte {
            b'/' if previous == b'/' => return Err(PathError::EmptySegment),
            b'/' => segments += 1,
            0 => return Err(PathError::Nul),
            _ => {}
        }
        previous = byte;
    }
    match previous {
        b'~' => Err(PathError::InvalidEscape),
        b'/' => Err(PathError::EmptySegment),
        _ if segments > segments_max => Err(PathError::TooDeep),
        _ => Ok(()),
    }
}

/// Appends a segment in its rendered form, without checking it.
pub(super) fn push_segment(text: &mut String, segment: &str) {
    if !segment.bytes().any(|byte| matches!(byte, b'~' | b'/')) {
        // Nearly every segment, and every record that is read has some.
        return text.push_str(segment);
    }
    for piece in segment.split_inclusive(['~', '/']) {
        let bare = piece.strip_suffix(['~', '/']).unwrap_or(piece);
        text.push_str(bare);
        if bare.len() < piece.len() {
            text.push_str(if piece.ends_with('~') { "~0" } else { "~1" });
        }
    }
}

/// Takes the escapes out of a rendered segment.
///
/// ```
/// use dust_transport::model::decode_segment;
///
/// assert_eq!(decode_segment("a~1b~0c"), "a/b~c");
/// ```
#[must_use]
pub fn decode_segment(rendered: &str) -> Cow<'_, str> {
    if rendered.contains('~') {
        // `~1` first: `~01` is a `~` and a `1`.
        Cow::Owned(rendered.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(rendered)
    }
}

impl Path {
    /// The most bytes of a rendered path.
    pub const BYTES_MAX: usize = 4096;

    /// Room for most paths, so that one allocation is enough to put them together.
    const BYTES_USUAL: usize = 64;

    /// The most segments of a path.
    pub const SEGMENTS_MAX: usize = 128;

    /// Reads a rendered path.
    ///
    /// One pass over the text and one allocation, so that a store can decode its own keys with it.
    ///
    /// ```
    /// use dust_transport::model::{Path, PathError};
    /// assert_eq!(Path::parse("image~1file")?.last(), "image/file");
    /// assert_eq!(Path::parse("users/"), Err(PathError::EmptySegment));
    /// # Ok::<(), PathError>(())
    /// ```
    ///
    /// # Errors
    /// Every [`PathError`].
    pub fn parse(rendered: &str) -> Result<Self, PathError> {
        check(rendered, Self::BYTES_MAX, Self::SEGMENTS_MAX)?;
        Ok(Self(Arc::from(rendered)))
    }

    /// Makes a path of literal segments, escaping what must be.
    ///
    /// ```
    /// use dust_transport::model::{Path, PathError};
    /// assert_eq!(Path::new(["packages", "@scope/name", "a~b"])?.as_str(), "packages/@scope~1name/a~0b");
    /// assert_eq!(Path::new(Vec::<String>::new()), Err(PathError::EmptyPath));
    /// # Ok::<(), PathError>(())
    /// ```
    ///
    /// # Errors
    /// Every [`PathError`] but `InvalidEscape`.
    pub fn new<I>(segments: I) -> Result<Self, PathError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut text = String::with_capacity(Self::BYTES_USUAL);
        for (index, segment) in segments.into_iter().enumerate() {
            let segment = segment.as_ref();
            if segment.is_empty() {
                return Err(PathError::EmptySegment);
            }
            if index > 0 {
                text.push('/');
            }
            push_segment(&mut text, segment);
            if text.len() > Self::BYTES_MAX {
                return Err(PathError::TooLong);
            }
        }
        Self::parse(&text)
    }

    /// The rendered form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments, decoded, from the first to the last.
    ///
    /// ```
    /// use dust_transport::model::Path;
    /// let path = Path::parse("a/b~1c")?;
    /// assert_eq!(path.segments().collect::<Vec<_>>(), ["a", "b/c"]);
    /// assert_eq!(path.segments().next_back().as_deref(), Some("b/c"));
    /// # Ok::<(), dust_transport::model::PathError>(())
    /// ```
    #[must_use]
    pub fn segments(&self) -> Segments<'_> {
        Segments(self.0.split('/'))
    }

    /// How many segments there are, at least one.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.bytes().filter(|byte| *byte == b'/').count() + 1
    }

    /// The path one literal segment below.
    ///
    /// ```
    /// use dust_transport::model::Path;
    /// assert_eq!(Path::parse("links")?.child("a/b")?.as_str(), "links/a~1b");
    /// # Ok::<(), dust_transport::model::PathError>(())
    /// ```
    ///
    /// # Errors
    /// `EmptySegment`, `Nul`, `TooLong` and `TooDeep`.
    pub fn child(&self, segment: &str) -> Result<Self, PathError> {
        if segment.is_empty() {
            return Err(PathError::EmptySegment);
        }
        if segment.len() > Self::BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let mut text = String::with_capacity(self.0.len() + 1 + segment.len());
        text.push_str(&self.0);
        text.push('/');
        push_segment(&mut text, segment);
        Self::parse(&text)
    }

    /// The path without its last segment; `None` if there is only one.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(Arc::from(parent)))
    }

    /// The last segment, decoded.
    #[must_use]
    pub fn last(&self) -> Cow<'_, str> {
        decode_segment(self.0.rsplit_once('/').map_or(&*self.0, |(_, last)| last))
    }

    /// The path's first `depth` segments; `None` if it has fewer, or for zero.
    ///
    /// ```
    /// use dust_transport::model::Path;
    /// let path = Path::parse("links/dust/title")?;
    /// assert_eq!(path.prefix(2), Some(Path::parse("links/dust")?));
    /// assert_eq!(path.prefix(4), None);
    /// # Ok::<(), dust_transport::model::PathError>(())
    /// ```
    #[must_use]
    pub fn prefix(&self, depth: usize) -> Option<Self> {
        let last = depth.checked_sub(1)?;
        let mut slashes = self.0.match_indices('/').map(|(at, _)| at).skip(last);
        match slashes.next() {
            Some(end) => self.0.get(..end).map(|text| Self(Arc::from(text))),
            None => (self.depth() == depth).then(|| self.clone()),
        }
    }

    /// Whether the other path is strictly below this one.
    ///
    /// ```
    /// use dust_transport::model::Path;
    /// let links = Path::parse("links")?;
    /// assert!(links.is_ancestor_of(&Path::parse("links/dust")?));
    /// assert!(!links.is_ancestor_of(&links));
    /// assert!(!links.is_ancestor_of(&Path::parse("links-old/dust")?));
    /// # Ok::<(), dust_transport::model::PathError>(())
    /// ```
    #[must_use]
    pub fn is_ancestor_of(&self, other: &Self) -> bool {
        other.strip_prefix(self).is_some()
    }

    /// Whether this path is the other one or below it.
    #[must_use]
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        self == ancestor || ancestor.is_ancestor_of(self)
    }

    /// The rendered remainder after `prefix/`; `None` unless this path is strictly below the prefix.
    ///
    /// ```
    /// use dust_transport::model::Path;
    /// let path = Path::parse("links/dust/a~1b")?;
    /// assert_eq!(path.strip_prefix(&Path::parse("links")?), Some("dust/a~1b"));
    /// assert_eq!(path.strip_prefix(&path), None);
    /// # Ok::<(), dust_transport::model::PathError>(())
    /// ```
    #[must_use]
    pub fn strip_prefix(&self, prefix: &Self) -> Option<&str> {
        self.0.strip_prefix(&*prefix.0)?.strip_prefix('/')
    }

    /// The bounds of the strict descendants in the order of rendered bytes: from `path/`, inclusive, to `path0`,
    /// exclusive (`0` is the byte after `/`).
    ///
    /// ```
    /// use dust_transport::model::Path;
    /// let (from, to) = Path::parse("links")?.descendants_range();
    /// assert_eq!((from.as_str(), to.as_str()), ("links/", "links0"));
    /// # Ok::<(), dust_transport::model::PathError>(())
    /// ```
    #[must_use]
    pub fn descendants_range(&self) -> (String, String) {
        ([&*self.0, "/"].concat(), [&*self.0, "0"].concat())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({:?})", &self.0)
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(rendered: &str) -> Result<Self, PathError> {
        Self::parse(rendered)
    }
}

impl AsRef<str> for Path {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

// Equality, order and hash of a path are those of its text, so it may be looked up by text.
impl Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for Path {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Path {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Path;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rendered path")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Path, E> {
                Path::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

/// The decoded segments of a [`Path`]; see [`Path::segments`].
#[derive(Debug, Clone)]
pub struct Segments<'a>(Split<'a, char>);

impl<'a> Iterator for Segments<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(decode_segment)
    }
}

impl DoubleEndedIterator for Segments<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(decode_segment)
    }
}

impl FusedIterator for Segments<'_> {}
