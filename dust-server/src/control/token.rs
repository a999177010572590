//! Tokens: what they are, and how they are kept.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::{ControlError, Scope};
use crate::Timestamp;

/// What every token begins with.
pub const TOKEN_PREFIX: &str = "dust_tok_";

/// Random bytes of a token.
const SECRET_BYTES: usize = 32;

/// A token to create.
///
/// ```
/// use dust_server::control::{NewToken, Scope};
/// let reader = NewToken::full("acme", "dashboard").with_scopes([Scope::EntriesRead]);
/// assert_eq!(reader.scopes.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewToken {
    /// The organisation.
    pub org: String,
    /// What it is called, for people.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// The stores it may do it in; `None` for all of the organisation.
    pub stores: Option<BTreeSet<Uuid>>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

impl NewToken {
    /// A token with every scope, for all stores of an organisation.
    #[must_use]
    pub fn full(org: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            org: org.into(),
            name: name.into(),
            scopes: Scope::ALL.into(),
            stores: None,
            expires_at: None,
        }
    }

    /// The same with these scopes only.
    #[must_use]
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// The same for these stores only.
    #[must_use]
    pub fn with_stores(mut self, stores: impl IntoIterator<Item = Uuid>) -> Self {
        self.stores = Some(stores.into_iter().collect());
        self
    }

    /// The same with an end.
    #[must_use]
    pub fn with_expires_at(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Some(expires_at);
        self
    }
}

/// A token as it is kept: by its hash, so that reading the data gives nobody a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Token {
    /// Its id.
    pub id: Uuid,
    /// The organisation.
    pub org: String,
    /// What it is called, for people.
    pub name: String,
    /// The last four characters of the secret, to tell tokens apart.
    pub last4: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// The stores it may do it in; `None` for all of the organisation.
    pub stores: Option<BTreeSet<Uuid>>,
    /// When it was created.
    pub inserted_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// The SHA-256 of the secret, in lower-case hexadecimal.
    digest: String,
}

impl Token {
    /// Whether the token has a scope.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether a store of the organisation is granted to the token.
    #[must_use]
    pub fn may_access(&self, store: Uuid) -> bool {
        self.stores.as_ref().is_none_or(|stores| stores.contains(&store))
    }

    /// Whether this token may give away such rights: it has them itself.
    #[must_use]
    pub fn covers(&self, scopes: &BTreeSet<Scope>, stores: Option<&BTreeSet<Uuid>>) -> bool {
        let granted = match (&self.stores, stores) {
            (None, _) => true,
            (Some(own), Some(stores)) => stores.is_subset(own),
            (Some(_), None) => false,
        };
        granted && scopes.is_subset(&self.scopes)
    }

    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether the secret of this digest is the token's, in a time that does not depend on where they differ.
    pub(super) fn is(&self, digest: &str) -> bool {
        self.digest.as_bytes().ct_eq(digest.as_bytes()).into()
    }
}

/// Makes a token and its secret.
pub(super) fn issue(new: NewToken, now: Timestamp) -> Result<(Token, String), ControlError> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| ControlError::NoRandomness)?;
    let secret = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let token = Token {
        id: Uuid::now_v7(),
        org: new.org,
        name: new.name,
        last4: secret.chars().skip(secret.len() - 4).collect(),
        scopes: new.scopes,
        stores: new.stores,
        inserted_at: now,
        expires_at: new.expires_at,
        digest: digest_of(&secret),
    };
    Ok((token, secret))
}

/// The SHA-256 of a secret, in hexadecimal.
pub(super) fn digest_of(secret: &str) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    let digest = Sha256::digest(secret);
    digest
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_the_form_of_the_wire_and_is_kept_as_its_hash() {
        let (token, secret) = issue(NewToken::full("acme", "t"), Timestamp::from_ms(0)).unwrap();
        let random = secret.strip_prefix(TOKEN_PREFIX).unwrap();
        assert_eq!(random.len(), 43);
        assert!(
            random
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert!(secret.ends_with(&token.last4));
        assert!(token.is(&digest_of(&secret)) && !token.is(&digest_of("dust_tok_")));
        let kept = serde_json::to_string(&token).unwrap();
        assert!(!kept.contains(random), "{kept}");
        let (_, other) = issue(NewToken::full("acme", "t"), Timestamp::from_ms(0)).unwrap();
        assert_ne!(secret, other);
    }

    #[test]
    fn the_digest_is_sha_256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest_of("abc"), abc);
    }

    #[test]
    fn a_token_gives_away_what_it_has_only() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let some = NewToken::full("acme", "t")
            .with_scopes([Scope::EntriesRead])
            .with_stores([one]);
        let (some, _) = issue(some, Timestamp::from_ms(0)).unwrap();
        let read = BTreeSet::from([Scope::EntriesRead]);
        assert!(some.covers(&read, Some(&BTreeSet::from([one]))));
        assert!(!some.covers(&read, Some(&BTreeSet::from([one, two]))));
        assert!(!some.covers(&read, None));
        assert!(!some.covers(&Scope::ALL.into(), Some(&BTreeSet::from([one]))));
    }
}
