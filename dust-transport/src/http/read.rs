//! Reads: which request asks for what, and what its answer says.

use std::collections::BTreeSet;

use reqwest::Method;

use super::Http;
use super::body::{EntriesBody, EntryBody, PageBody, PathsBody, path_of, read, write};
use super::exchange::Request;
use super::failure::unreadable;
use crate::error::{Error, ErrorKind};
use crate::model::{Entry, Path, Pattern, ValueKind, assemble};
use crate::transport::{Items, List, Order, Page, Scope, Select};

/// The most paths of one batch read, and the most leaves of one page.
pub(super) const ITEMS_MAX: usize = 1000;

/// The query parameters that cover a scope.
enum Cover {
    Pattern(String),
    Range(String, String),
    /// No path can match.
    Nothing,
}

impl Http {
    pub(super) async fn list_page(&self, query: &List) -> Result<Page, Error> {
        check(query)?;
        let cover = cover(&query.scope);
        // A range has no prefixes on the wire; they are those of its keys.
        let by_keys = query.select == Select::Prefixes && matches!(cover, Cover::Range(..));
        let select = if by_keys { Select::Keys } else { query.select };
        let limit = query.limit.to_string();
        let mut parameters: Vec<(&str, &str)> = match &cover {
            Cover::Pattern(pattern) => vec![("pattern", pattern)],
            Cover::Range(from, to) => vec![("from", from), ("to", to)],
            Cover::Nothing => {
                return Ok(Page {
                    items: no_items(query.select),
                    next: None,
                });
            }
        };
        match select {
            Select::Entries => {}
            Select::Keys => parameters.push(("select", "keys")),
            Select::Prefixes => parameters.push(("select", "prefixes")),
        }
        if query.order == Order::Desc {
            parameters.push(("order", "desc"));
        }
        parameters.push(("limit", &limit));
        if let Some(after) = &query.after {
            parameters.push(("after", after.as_str()));
        }
        let url = self.inner.address.query(&parameters)?;
        let answer = self.inner.exchange.send(Request::read(Method::GET, url)).await?;
        if answer.status != 200 {
            return Err(self.inner.exchange.refusal(&answer, None));
        }
        let page = page(select, &answer.body)?;
        Ok(if by_keys { prefixes(page, query) } else { page })
    }

    pub(super) async fn get_entry(&self, path: &Path) -> Result<Option<Entry>, Error> {
        let Some(url) = self.inner.address.entry(path)? else {
            return self.get_assembled(path).await;
        };
        let answer = self.inner.exchange.send(Request::read(Method::GET, url)).await?;
        match answer.status {
            200 => read::<EntryBody<'_>>(&answer.body)?.into_entry(Some(path)).map(Some),
            404 => Ok(None),
            _ => Err(self.inner.exchange.refusal(&answer, None)),
        }
    }

    /// Reads a path that no address can name: the leaf, or what lies below, page by page.
    async fn get_assembled(&self, path: &Path) -> Result<Option<Entry>, Error> {
        let leaf = self.get_leaves(std::slice::from_ref(path)).await?.pop().flatten();
        if leaf.is_some() {
            return Ok(leaf);
        }
        let mut leaves = Vec::new();
        let mut query = List::below(path.clone()).limit(ITEMS_MAX);
        loop {
            let page = self.list_page(&query).await?;
            leaves.extend(page.items.into_entries());
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        let Some(revision) = leaves.iter().map(|leaf| leaf.revision).max() else {
            return Ok(None);
        };
        let rest = |leaf: &'_ Entry| leaf.path.strip_prefix(path).unwrap_or_default().to_owned();
        let rests: Vec<String> = leaves.iter().map(rest).collect();
        let pairs = rests.iter().zip(&leaves);
        Ok(Some(Entry {
            path: path.clone(),
            value: assemble(pairs.map(|(rest, leaf)| (rest.as_str(), leaf.value.json()))),
            kind: ValueKind::Map,
            revision,
        }))
    }

    pub(super) async fn get_leaves(&self, paths: &[Path]) -> Result<Vec<Option<Entry>>, Error> {
        let mut found = Vec::with_capacity(paths.len());
        for chunk in paths.chunks(ITEMS_MAX) {
            let body = PathsBody {
                paths: chunk.iter().map(Path::as_str).collect(),
            };
            let request = Request::read(Method::POST, self.inner.address.route("/batch")?).json(write(&body)?);
            let answer = self.inner.exchange.send(request).await?;
            if answer.status != 200 {
                return Err(self.inner.exchange.refusal(&answer, None));
            }
            let body: EntriesBody<'_> = read(&answer.body)?;
            let mut entries = body.entries;
            // The same path may be asked for twice; the server answers it once.
            let mut seen = std::collections::HashMap::with_capacity(entries.len());
            for path in chunk {
                if let Some(body) = entries.remove(path.as_str()) {
                    seen.insert(path, body.into_entry(Some(path))?);
                }
                found.push(seen.get(path).cloned());
            }
        }
        Ok(found)
    }

    pub(super) async fn is_there(&self, path: &Path) -> Result<bool, Error> {
        let Some(url) = self.inner.address.entry(path)? else {
            return Ok(self
                .get_leaves(std::slice::from_ref(path))
                .await?
                .iter()
                .any(Option::is_some)
                || self.has_descendants(path).await?);
        };
        let answer = self.inner.exchange.send(Request::read(Method::HEAD, url)).await?;
        match answer.status {
            200 => Ok(true),
            404 => Ok(false),
            405 => Ok(self.has_descendants(path).await? || self.get_entry(path).await?.is_some()),
            _ => Err(self.inner.exchange.refusal(&answer, None)),
        }
    }

    async fn has_descendants(&self, path: &Path) -> Result<bool, Error> {
        let query = List::below(path.clone()).select(Select::Keys).limit(1);
        Ok(!self.list_page(&query).await?.items.is_empty())
    }
}

fn check(query: &List) -> Result<(), Error> {
    let refuse = |code: &'static str, detail: &'static str| Err(Error::new(ErrorKind::InvalidParams, code, detail));
    if !(1..=ITEMS_MAX).contains(&query.limit) {
        return refuse("invalid_params", "limit must be 1..1000");
    }
    match (&query.scope, query.select) {
        (Scope::Range { .. }, Select::Prefixes) => refuse("unsupported_select", "a range has no prefixes"),
        (Scope::Pattern(pattern), Select::Prefixes) if pattern.prefixes_depth().is_none() => refuse(
            "invalid_pattern_for_prefixes",
            "prefixes need a pattern that ends in `**`",
        ),
        _ => Ok(()),
    }
}

fn cover(scope: &Scope) -> Cover {
    match scope {
        Scope::Range { from, to } => Cover::Range(from.to_string(), to.to_string()),
        // The hosted server matches nothing by a pattern without a wildcard. No path stands between one and the same
        // with U+0001 at its end.
        Scope::Pattern(pattern) if !pattern.has_wildcard() => match pattern.literal_base() {
            Some(path) => Cover::Range(path.to_string(), format!("{path}\u{1}")),
            None => Cover::Nothing,
        },
        Scope::Pattern(pattern) => Cover::Pattern(pattern.to_string()),
        Scope::Below(path) => {
            let plain = Pattern::below(path).filter(|pattern| !pattern.as_str().contains('\\'));
            match plain {
                Some(pattern) => Cover::Pattern(pattern.to_string()),
                // `0` is the byte after `/`, and no path has a byte below U+0001.
                None => Cover::Range(format!("{path}/\u{1}"), format!("{path}0")),
            }
        }
    }
}

fn no_items(select: Select) -> Items {
    match select {
        Select::Entries => Items::Entries(Vec::new()),
        Select::Keys => Items::Keys(Vec::new()),
        Select::Prefixes => Items::Prefixes(Vec::new()),
    }
}

fn page(select: Select, body: &[u8]) -> Result<Page, Error> {
    let page: PageBody<'_> = read(body)?;
    let paths = |page: &PageBody<'_>| -> Result<Vec<Path>, Error> {
        let text = |item: &&serde_json::value::RawValue| {
            let text: String = serde_json::from_str(item.get()).map_err(unreadable)?;
            path_of(&text)
        };
        page.items.iter().map(text).collect()
    };
    let items = match select {
        Select::Entries => {
            let entry =
                |item: &&serde_json::value::RawValue| read::<EntryBody<'_>>(item.get().as_bytes())?.into_entry(None);
            Items::Entries(page.items.iter().map(entry).collect::<Result<_, _>>()?)
        }
        Select::Keys => Items::Keys(paths(&page)?),
        Select::Prefixes => Items::Prefixes(paths(&page)?),
    };
    Ok(Page {
        items,
        next: page.next_cursor.as_deref().map(path_of).transpose()?,
    })
}

/// The distinct prefixes of a page of keys below a path.
fn prefixes(page: Page, query: &List) -> Page {
    let depth = match &query.scope {
        Scope::Below(path) => path.depth() + 1,
        Scope::Pattern(pattern) => pattern.prefixes_depth().unwrap_or(1),
        Scope::Range { .. } => 1,
    };
    let keys = page.items.into_paths();
    let distinct: BTreeSet<Path> = keys.iter().filter_map(|key| key.prefix(depth)).collect();
    let mut prefixes: Vec<Path> = distinct.into_iter().collect();
    if query.order == Order::Desc {
        prefixes.reverse();
    }
    Page {
        items: Items::Prefixes(prefixes),
        next: page.next,
    }
}

#[cfg(test)]
mod tests {
    use super::{Cover, cover};
    use crate::model::{Path, Pattern};
    use crate::transport::Scope;

    #[test]
    fn every_scope_is_covered_exactly() {
        let range = |scope| match cover(&scope) {
            Cover::Range(from, to) => Some((from, to)),
            _ => None,
        };
        let below = |path: &str| range(Scope::Below(Path::parse(path).unwrap()));
        assert_eq!(below("links"), None);
        assert_eq!(below("x/*"), Some(("x/*/\u{1}".into(), "x/*0".into())));
        let exact = range(Scope::Pattern(Pattern::parse(r"x/\*").unwrap()));
        assert_eq!(exact, Some(("x/*".into(), "x/*\u{1}".into())));
    }
}
