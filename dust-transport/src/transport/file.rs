//! What is read of a file.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;

use crate::error::Error;

/// The bytes of a file, in order and in pieces of the store's choice; an `Err` item is its last.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// Which part of a file is read; what goes beyond the file is left out.
///
/// ```
/// use dust_transport::transport::FileRange;
///
/// assert_eq!(FileRange::All.within(10), 0..10);
/// assert_eq!(FileRange::From(8).within(10), 8..10);
/// assert_eq!(FileRange::Part(8..12).within(10), 8..10);
/// assert_eq!(FileRange::Last(3).within(10), 7..10);
/// assert!(FileRange::From(10).within(10).is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FileRange {
    /// Everything.
    #[default]
    All,
    /// From this byte on.
    From(u64),
    /// From the first byte up to but without the second.
    Part(Range<u64>),
    /// So many bytes at the end.
    Last(u64),
}

/// A file that is opened for reading.
pub struct FileContent {
    /// Its media type, as it was first put.
    pub content_type: String,
    /// How long the whole file is.
    pub size_bytes: u64,
    /// Which bytes of it the body has; empty if the file has none of those that were asked for.
    pub range: Range<u64>,
    /// Those bytes.
    pub body: ByteStream,
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileContent")
            .field("content_type", &self.content_type)
            .field("size_bytes", &self.size_bytes)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

impl FileRange {
    /// The bytes that it covers of a file of this size.
    #[must_use]
    pub fn within(&self, size_bytes: u64) -> Range<u64> {
        let (start, end) = match self {
            Self::All => (0, size_bytes),
            Self::From(start) => (*start, size_bytes),
            Self::Part(part) => (part.start, part.end),
            Self::Last(bytes) => (size_bytes.saturating_sub(*bytes), size_bytes),
        };
        let start = start.min(size_bytes);
        start..end.clamp(start, size_bytes)
    }
}
