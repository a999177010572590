//! What a token may do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A right of a token, by its name on the wire.
///
/// ```
/// use dust_server::control::Scope;
/// assert_eq!(Scope::parse("entries:read"), Some(Scope::EntriesRead));
/// assert_eq!(Scope::parse("entries:own"), None);
/// assert_eq!(Scope::ALL.len(), 12);
/// ```
// In the order of their names, in which a token shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Read the log.
    #[serde(rename = "audit:read")]
    AuditRead,
    /// Read entries.
    #[serde(rename = "entries:read")]
    EntriesRead,
    /// Write entries.
    #[serde(rename = "entries:write")]
    EntriesWrite,
    /// Read files.
    #[serde(rename = "files:read")]
    FilesRead,
    /// Store files.
    #[serde(rename = "files:write")]
    FilesWrite,
    /// Copy a store.
    #[serde(rename = "stores:clone")]
    StoresClone,
    /// Create and archive stores.
    #[serde(rename = "stores:create")]
    StoresCreate,
    /// List stores.
    #[serde(rename = "stores:read")]
    StoresRead,
    /// List tokens.
    #[serde(rename = "tokens:read")]
    TokensRead,
    /// Create and revoke tokens.
    #[serde(rename = "tokens:write")]
    TokensWrite,
    /// List webhooks.
    #[serde(rename = "webhooks:read")]
    WebhooksRead,
    /// Create and delete webhooks.
    #[serde(rename = "webhooks:write")]
    WebhooksWrite,
}

impl Scope {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 12] = [
        Self::AuditRead,
        Self::EntriesRead,
        Self::EntriesWrite,
        Self::FilesRead,
        Self::FilesWrite,
        Self::StoresClone,
        Self::StoresCreate,
        Self::StoresRead,
        Self::TokensRead,
        Self::TokensWrite,
        Self::WebhooksRead,
        Self::WebhooksWrite,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuditRead => "audit:read",
            Self::EntriesRead => "entries:read",
            Self::EntriesWrite => "entries:write",
            Self::FilesRead => "files:read",
            Self::FilesWrite => "files:write",
            Self::StoresClone => "stores:clone",
            Self::StoresCreate => "stores:create",
            Self::StoresRead => "stores:read",
            Self::TokensRead => "tokens:read",
            Self::TokensWrite => "tokens:write",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
        }
    }

    /// The scope of a name; `None` for what is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    /// What a token has that is asked for with `read` and `write` instead of scopes.
    ///
    /// ```
    /// use dust_server::control::Scope;
    /// assert!(Scope::legacy(true, false).contains(&Scope::AuditRead));
    /// assert!(!Scope::legacy(true, true).contains(&Scope::StoresCreate));
    /// ```
    #[must_use]
    pub fn legacy(read: bool, write: bool) -> BTreeSet<Self> {
        let reads = [
            Self::StoresRead,
            Self::EntriesRead,
            Self::FilesRead,
            Self::WebhooksRead,
            Self::AuditRead,
        ];
        let writes = [
            Self::StoresClone,
            Self::EntriesWrite,
            Self::FilesWrite,
            Self::WebhooksWrite,
            Self::TokensRead,
            Self::TokensWrite,
        ];
        let reads = reads.into_iter().filter(|_| read);
        reads.chain(writes.into_iter().filter(|_| write)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire_and_sorted() {
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_string(&scope).unwrap(), format!("{:?}", scope.as_str()));
        }
        assert!(Scope::ALL.is_sorted_by_key(|scope| scope.as_str()));
        assert!(Scope::ALL.is_sorted());
    }
}
