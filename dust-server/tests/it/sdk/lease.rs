//! Leases over a synced store.

use std::time::Duration;

use dust_server::control::Scope;
use dust_transport::error::ErrorKind;
use dust_transport::model::{Batch, Fence, Op};
use dust_transport::sync::{Offline, Sync};
use dust_transport::transport::Transport as _;

use super::{Site, path, text};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_lease_has_a_token_and_a_holder_and_is_held_against_others() {
    let site = Site::start().await;
    let (one, two) = (site.sync().await, site.sync().await);
    let lease = one.lease(&path("l"), Some("one"), HOUR).await.unwrap();
    assert_eq!(lease.fence().token, 1);
    assert!(text(&one, "l").await.contains(r#""holder":"one""#));
    let refused = two.lease(&path("l"), None, HOUR).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, "held"));
    lease.release().await.unwrap();
    two.lease(&path("l"), None, HOUR)
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    assert_eq!(text(&two, "l").await, "-");
}

#[tokio::test]
async fn a_leaf_that_is_no_lease_is_not_leased() {
    let site = Site::start().await;
    let sync = site.sync().await;
    sync.put(&path("l"), 1).await.unwrap();
    let refused = sync.lease(&path("l"), None, HOUR).await.unwrap_err();
    assert_eq!(refused.code(), "occupied");
}

#[tokio::test]
async fn a_renewal_keeps_the_token_and_one_of_another_is_refused() {
    let site = Site::start().await;
    let sync = site.sync().await;
    let lease = sync.lease(&path("l"), None, HOUR).await.unwrap();
    let token = lease.fence().token;
    let renew = |token| sync.write(Batch::one(Op::renew(path("l"), token, HOUR)));
    let renewed = renew(token).await.unwrap();
    assert_eq!(renewed.done(0).lease().unwrap().token, token);
    assert_eq!(renew(token + 7).await.unwrap_err().code(), "not_held");
    // Twice is as once.
    lease.release().await.unwrap();
    sync.write(Batch::one(Op::release(path("l"), token))).await.unwrap();
    assert_eq!(renew(token).await.unwrap_err().code(), "not_held");
}

#[tokio::test]
async fn a_write_under_a_fence_needs_the_lease() {
    let site = Site::start().await;
    let sync = site.sync().await;
    let lease = sync.lease(&path("l"), None, HOUR).await.unwrap();
    let write = |fence: Fence| sync.write(Batch::one(Op::set(path("a"), 1).fenced(fence)));
    write(lease.fence()).await.unwrap();
    let stale = Fence {
        token: 99,
        ..lease.fence()
    };
    assert_eq!(write(stale).await.unwrap_err().code(), "fenced");
}

#[tokio::test]
async fn a_lease_without_a_connection_is_refused_at_once_where_that_is_chosen() {
    let site = Site::start().await;
    let sync = Sync::connect(site.options().offline(Offline::Reject)).await.unwrap();
    site.running.stop().await;
    while sync.state().is_live() {
        tokio::task::yield_now().await;
    }
    let refused = sync.lease(&path("l"), None, HOUR).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Network, "not_connected"));
}

#[tokio::test]
async fn a_lease_needs_the_scope_to_write() {
    let site = Site::start().await;
    let token = site.token_with([Scope::EntriesRead]).await;
    let sync = Sync::connect(site.options_with(&token)).await.unwrap();
    let refused = sync.lease(&path("l"), None, HOUR).await.unwrap_err();
    assert_eq!(refused.code(), "missing_scope");
    assert!(refused.detail().contains("entries:write"), "{refused}");
}
