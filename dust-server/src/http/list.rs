//! `GET …/entries`: pages of leaves.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use dust_store::{Embedded, StoredLeaf};
use dust_transport::error::Error;
use dust_transport::model::{Path, Pattern};
use dust_transport::transport::{List, Order, Scope, Select, Transport as _};

use super::answer::{Refusal, json_text};
use super::call::Call;
use super::entries::{push_path, push_stored};
use super::openapi::{self, Order as OrderName, Select as SelectName, StorePath};
use super::query::Query;
use crate::control;

/// What an item of a page takes in most stores, in bytes. A page that grows is copied, so it had better not.
const ITEM_BYTES: usize = 128;

/// The most leaves of a page.
pub(super) const LIMIT_MAX: usize = 1000;

/// List leaves
///
/// In the order of the bytes of their paths.
#[utoipa::path(
    get, path = "/api/stores/{org}/{store}/entries", tag = "entries", operation_id = "list_entries",
    security(("token" = ["entries:read"])),
    params(
        StorePath,
        ("pattern" = Option<String>, Query, nullable = false, example = "links/**",
            description = "`*` is any one segment, `**` at the end any number; `**` is the default."),
        ("from" = Option<String>, Query, nullable = false, description = "With `to`, instead of a pattern: the first path."),
        ("to" = Option<String>, Query, nullable = false, description = "The path before which the range ends."),
        ("select" = Option<SelectName>, Query, nullable = false, description = "Whole entries, paths, or the distinct next segments."),
        ("order" = Option<OrderName>, Query, nullable = false),
        ("limit" = Option<u64>, Query, nullable = false, minimum = 1, maximum = 1000, description = "50 by default."),
        ("after" = Option<String>, Query, nullable = false, description = "The cursor of the page before."),
    ),
    responses((status = 200, description = "A page.", body = openapi::Page))
)]
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    if call.query.has("pattern") && (call.query.has("from") || call.query.has("to")) {
        let detail = "use either pattern or from/to, not both";
        return Err(Refusal::bad_request("conflicting_params", detail));
    }
    let store = call.store(control::Scope::EntriesRead).await?;
    let (pages, name) = (&call.shared().pages, store.store_name());
    // Read before the page, which then has at least all that was written up to here.
    let head = store.head().await?;
    if let Some(text) = pages.get(name, &call.query, head) {
        return Ok(json_text(StatusCode::OK, text));
    }
    let text = Bytes::from(text_of(&store, &wanted(&call.query)?).await?);
    pages.put(name, call.query.clone(), head, text.clone());
    Ok(json_text(StatusCode::OK, text))
}

fn wanted(query: &Query) -> Result<List, Refusal> {
    let select = match query.text("select")? {
        None | Some("entries") => Select::Entries,
        Some("keys") => Select::Keys,
        Some("prefixes") => Select::Prefixes,
        Some(other) => return Err(Refusal::invalid(format!("select={other:?}"))),
    };
    let order = match query.text("order")? {
        None | Some("asc") => Order::Asc,
        Some("desc") => Order::Desc,
        Some(other) => return Err(Refusal::invalid(format!("order={other:?}"))),
    };
    let limit = match query.text("limit")? {
        None => List::LIMIT_DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| Refusal::invalid(format!("limit must be 1..{LIMIT_MAX}")))?,
    };
    let after = match query.text("after")? {
        None | Some("") => None,
        Some(text) => Some(path("after", text)?),
    };
    let list = List::new(scope(query)?).select(select).order(order).limit(limit);
    Ok(list.after(after))
}

fn scope(query: &Query) -> Result<Scope, Refusal> {
    match (query.filled("from")?, query.filled("to")?) {
        (Some(from), Some(to)) => Ok(Scope::Range {
            from: path("from", from)?,
            to: path("to", to)?,
        }),
        (Some(_), None) => Err(Refusal::invalid("from requires to")),
        (None, Some(_)) => Err(Refusal::invalid("to requires from")),
        (None, None) => {
            let text = query.filled("pattern")?.unwrap_or("**");
            let pattern = Pattern::parse(text);
            pattern
                .map(Scope::Pattern)
                .map_err(|error| Refusal::invalid(format!("pattern is not valid ({})", error.code())))
        }
    }
}

fn path(name: &str, text: &str) -> Result<Path, Refusal> {
    Path::parse(text).map_err(|_| Refusal::invalid(format!("{name} must be a valid path")))
}

async fn text_of(store: &Embedded, list: &List) -> Result<String, Error> {
    let mut text = String::with_capacity(list.limit * ITEM_BYTES);
    text.push_str("{\"items\":[");
    let begin = text.len();
    let next = if list.select == Select::Entries {
        let mut show = |leaf: StoredLeaf<'_>| {
            separate(&mut text, begin);
            push_stored(&mut text, leaf);
        };
        store.visit(list, &mut show).await?
    } else {
        let page = store.list(list).await?;
        for path in page.items.into_paths() {
            separate(&mut text, begin);
            push_path(&mut text, path.as_str());
        }
        page.next
    };
    text.push_str("],\"next_cursor\":");
    match &next {
        Some(next) => push_path(&mut text, next.as_str()),
        None => text.push_str("null"),
    }
    text.push('}');
    Ok(text)
}

/// Sets an item off from the one before, if there is one.
fn separate(text: &mut String, begin: usize) {
    if text.len() > begin {
        text.push(',');
    }
}
