use std::fmt;

use super::{Envelope, Value};

/// The address of a file's content: its SHA-256, written `sha256:` and 64 lower-case hex digits.
///
/// ```
/// use dust_transport::model::FileHash;
///
/// let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// let hash: FileHash = text.parse()?;
/// assert_eq!(hash.to_string(), text);
/// assert_eq!(hash, FileHash(*hash.as_bytes()));
/// assert!("sha256:E3".parse::<FileHash>().is_err());
/// # Ok::<(), dust_transport::model::FileHashError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileHash(pub [u8; 32]);

/// A text that is no [`FileHash`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("a file hash is `sha256:` and 64 lower-case hex digits")]
pub struct FileHashError;

/// What a leaf of kind `file` says of its file; the content is read by [`read_file`].
///
/// [`read_file`]: crate::transport::Transport::read_file
///
/// ```
/// use dust_transport::model::{FileRef, Value};
///
/// let value = Value::from_json(
///     r#"{"_type":"file","content_type":"text/plain","filename":"a.txt",
///         "hash":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
///         "size":0,"uploaded_at":"2026-11-22T07:40:56.952Z"}"#,
/// )?;
/// let file = FileRef::from_value(&value).expect("a reference");
/// assert_eq!((file.size_bytes, file.filename.as_deref()), (0, Some("a.txt")));
/// assert_eq!(file.to_value(), value);
/// # Ok::<(), dust_transport::model::ValueError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// Where the content is.
    pub hash: FileHash,
    /// How long the content is.
    pub size_bytes: u64,
    /// The media type, as it was given.
    pub content_type: String,
    /// The name, if one was given.
    pub filename: Option<String>,
    /// When it was put, in ISO 8601.
    pub uploaded_at: String,
}

impl FileHash {
    /// The 32 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FileHashError {
    /// The reason as a stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        "invalid_hash"
    }
}

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for FileHash {
    type Err = FileHashError;

    fn from_str(text: &str) -> Result<Self, FileHashError> {
        let digits = text.strip_prefix("sha256:").ok_or(FileHashError)?;
        let mut hash = [0; 32];
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        if pairs.len() != hash.len() || !rest.is_empty() {
            return Err(FileHashError);
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(FileHashError),
        };
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(hash))
    }
}

impl FileRef {
    /// The media type of a file that names none.
    pub const CONTENT_TYPE_DEFAULT: &str = "application/octet-stream";

    /// Reads a value with `_type` `file`; `None` for any other, and for one without a valid hash and size.
    ///
    /// Only a leaf of kind `file` refers to a file that the store has; the same value may also have been set by hand.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Shape {
            hash: String,
            size: u64,
            content_type: Option<String>,
            filename: Option<String>,
            uploaded_at: Option<String>,
        }

        if value.envelope() != Some(Envelope::File) {
            return None;
        }
        let shape: Shape = value.to().ok()?;
        Some(Self {
            hash: shape.hash.parse().ok()?,
            size_bytes: shape.size,
            content_type: shape
                .content_type
                .unwrap_or_else(|| Self::CONTENT_TYPE_DEFAULT.to_owned()),
            filename: shape.filename,
            uploaded_at: shape.uploaded_at.unwrap_or_default(),
        })
    }

    /// The value of the leaf, with `_type` `file`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let filename = self.filename.as_deref().map_or_else(Value::null, Value::from);
        Value::map([
            ("_type", Value::from("file")),
            ("content_type", Value::from(self.content_type.as_str())),
            ("filename", filename),
            ("hash", Value::from(self.hash.to_string())),
            ("size", Value::from(self.size_bytes)),
            ("uploaded_at", Value::from(self.uploaded_at.as_str())),
        ])
    }
}
