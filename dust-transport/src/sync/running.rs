//! The synced stores of this process, so that what picks a transport by itself finds one that is there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Inner;
use crate::http::HttpOptions;

static RUNNING: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

// A list of weak references is whole whatever its writer did.
fn running() -> MutexGuard<'static, Vec<Weak<Inner>>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn add(inner: &Arc<Inner>) {
    let mut running = running();
    running.retain(|other| other.strong_count() > 0);
    running.push(Arc::downgrade(inner));
}

pub(super) fn find(options: &HttpOptions) -> Option<Arc<Inner>> {
    let is_same = |inner: &Arc<Inner>| {
        let other = &inner.shared.options.http;
        let base = |options: &HttpOptions| options.base_url.trim().trim_end_matches('/').to_owned();
        other.store == options.store
            && other.token == options.token
            && base(other) == base(options)
            && inner.shared.ended().is_none()
    };
    let running = running();
    running.iter().filter_map(Weak::upgrade).find(is_same)
}
