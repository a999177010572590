//! Leases and fences. Time is not waited for: a lease of no length has ended when it is taken.

use std::time::Duration;

use super::probe::{Probe, delete, path, set};
use crate::error::ErrorKind::{Conflict, InvalidParams, NotSupported};
use crate::model::{Batch, Fence, Lease, Op, OpId, OpKind, Precondition, Seq, ValueKind};
use crate::transport::{Done, Transport};

const LONG: Duration = Duration::from_hours(1);

fn take(at: &str, holder: &str, ttl: Duration) -> Op {
    Op::lease(path(at), Some(holder), ttl)
}

fn fence(at: &str, token: u64) -> Fence {
    Fence { key: path(at), token }
}

impl Probe<'_> {
    fn leases(self) -> bool {
        self.0.capabilities().leases
    }

    /// Takes or renews a lease, which must succeed.
    async fn leased(self, op: Op) -> Lease {
        let shown = format!("{op:?}");
        let written = self.try_write(op.into()).await;
        let written = written.unwrap_or_else(|error| panic!("{shown}: {error}"));
        let lease = written.done(0).lease().cloned();
        lease.unwrap_or_else(|| panic!("{shown} must give a lease, but gave {written:?}"))
    }

    /// Releases, and tells what came of it.
    async fn release(self, at: &str, token: u64) -> (Seq, Done) {
        let written = self.try_write(Op::release(path(at), token).into()).await;
        let written = written.unwrap_or_else(|error| panic!("release of `{at}`: {error}"));
        (written.seqs[0], written.done(0).clone())
    }
}

/// A lease is a leaf that tells holder, token and end; its token is the number of the op that took it.
pub async fn lease_is_a_leaf_that_tells_of_it(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    store.set("locks/a/below", "1").await;
    let lease = store.leased(take("locks/a", "worker-1", LONG)).await;
    assert_eq!((lease.token, lease.holder.as_deref()), (2, Some("worker-1")));
    let entry = store.entry("locks/a").await.expect("a leaf");
    assert_eq!((entry.kind, entry.revision), (ValueKind::Lease, Seq(2)));
    assert_eq!(
        Lease::from_value(&entry.value),
        Some(lease),
        "the leaf is what was answered"
    );
    store.assert_value("locks/a/below", "1").await;
    let nobody = store.leased(Op::lease(path("locks/b"), None, LONG)).await;
    assert_eq!((nobody.token, nobody.holder), (3, None));
}

/// Who asks for a lease that is live is refused, the holder included.
pub async fn live_lease_is_held(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    store.leased(take("locks/a", "worker-1", LONG)).await;
    for holder in ["worker-2", "worker-1"] {
        let error = store.refused(take("locks/a", holder, LONG), Conflict, "held").await;
        assert_eq!(error.conflict().and_then(|at| at.current), Some(Seq(1)), "{error:?}");
    }
}

/// A lease cannot be taken where another leaf is; what is below it does not matter.
pub async fn occupied_path_takes_no_lease(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    store.set("locks/a", "null").await;
    store
        .refused(take("locks/a", "worker-1", LONG), Conflict, "occupied")
        .await;
    store.leased(take("locks", "worker-1", LONG)).await;
}

/// A lease whose time is over can be taken, by a higher token.
pub async fn ended_lease_can_be_taken(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    let ended = store.leased(take("locks/a", "worker-1", Duration::ZERO)).await;
    let taken = store.leased(take("locks/a", "worker-2", LONG)).await;
    assert!(taken.token > ended.token, "{taken:?} after {ended:?}");
    store.refused(take("locks/a", "worker-1", LONG), Conflict, "held").await;
}

/// Renewing makes a lease last longer, and keeps its token and its holder.
pub async fn renewal_keeps_token_and_holder(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    let taken = store.leased(take("locks/a", "worker-1", LONG)).await;
    let renewed = store.leased(Op::renew(path("locks/a"), taken.token, 2 * LONG)).await;
    assert_eq!((renewed.token, &renewed.holder), (taken.token, &taken.holder));
    assert!(
        renewed.expires_at_ms > taken.expires_at_ms,
        "{renewed:?} after {taken:?}"
    );
    let entry = store.entry("locks/a").await.expect("a leaf");
    assert_eq!(
        (Lease::from_value(&entry.value), entry.revision),
        (Some(renewed), Seq(2))
    );
}

/// Only the live lease of the same token is renewed.
pub async fn lease_of_another_is_not_renewed(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    let taken = store.leased(take("locks/a", "worker-1", LONG)).await;
    let ended = store.leased(take("locks/b", "worker-1", Duration::ZERO)).await;
    store.set("locks/c", "1").await;
    for (at, token) in [
        ("locks/a", taken.token + 1),
        ("locks/b", ended.token),
        ("locks/c", taken.token),
        ("locks/d", taken.token),
    ] {
        store
            .refused(Op::renew(path(at), token, LONG), Conflict, "not_held")
            .await;
    }
}

/// A released lease is gone, whether its time was over or not.
pub async fn release_frees_the_lease(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    store.set("locks/a/below", "1").await;
    let taken = store.leased(take("locks/a", "worker-1", LONG)).await;
    assert_eq!(store.release("locks/a", taken.token).await, (Seq(3), Done::Applied));
    assert_eq!(store.leaves().await, ["locks/a/below=1"]);
    let ended = store.leased(take("locks/a", "worker-1", Duration::ZERO)).await;
    assert_eq!(store.release("locks/a", ended.token).await, (Seq(5), Done::Applied));
    store.leased(take("locks/a", "worker-2", LONG)).await;
}

/// A release that finds no lease of its token says so, changes nothing and takes no number; also among other ops.
pub async fn release_of_nothing_takes_no_seq(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    let taken = store.leased(take("locks/a", "worker-1", LONG)).await;
    let before = store.dump().await;
    for at in ["locks/a", "locks/b"] {
        assert_eq!(store.release(at, taken.token + 1).await, (Seq(0), Done::NotReleased));
    }
    assert_eq!(store.dump().await, before);
    let batch = Batch::new([
        set("a", "1"),
        Op::release(path("locks/a"), taken.token + 1),
        set("b", "2"),
    ]);
    let written = store.try_write(batch).await.expect("a batch");
    assert_eq!(written.seqs, [Seq(2), Seq(0), Seq(3)]);
    assert_eq!(
        [written.done(0), written.done(1), written.done(2)],
        [&Done::Applied, &Done::NotReleased, &Done::Applied]
    );
}

/// A lease is no lock on its path: plain writes replace it, but cannot forge one.
pub async fn plain_writes_replace_a_lease(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    let taken = store.leased(take("locks/a", "worker-1", LONG)).await;
    store
        .refused(Op::set(path("locks/b"), taken.to_value()), InvalidParams, "")
        .await;
    store.set("locks/a", "1").await;
    store
        .refused(Op::renew(path("locks/a"), taken.token, LONG), Conflict, "not_held")
        .await;
    store.write([delete("locks")]).await;
    store.leased(take("locks/a", "worker-2", LONG)).await;
    store.write([delete("locks")]).await;
    assert_eq!(store.leaves().await, [""; 0]);
}

/// A fence lets through who holds the lease, with any op.
pub async fn fence_lets_the_holder_through(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    let token = store.leased(take("locks/a", "worker-1", LONG)).await.token;
    let fenced = |op: Op| op.fenced(fence("locks/a", token));
    store.write([fenced(set("a", "1")), fenced(set("b", "2"))]).await;
    store.write([fenced(delete("b"))]).await;
    assert_eq!(store.value("a").await, 1.into());
    store.assert_absent("b").await;
}

/// A fence stops everyone else: another token, an ended lease, none at all. It sees the ops before it.
pub async fn fence_stops_everyone_else(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    let token = store.leased(take("locks/a", "worker-1", LONG)).await.token;
    let ended = store.leased(take("locks/b", "worker-1", Duration::ZERO)).await.token;
    store.set("locks/c", "1").await;
    for (at, token) in [
        ("locks/a", token + 1),
        ("locks/b", ended),
        ("locks/c", 3),
        ("locks/d", token),
        ("locks", token),
    ] {
        let op = set("a", "1").fenced(fence(at, token));
        let error = store.refused(op, Conflict, "fenced").await;
        assert_eq!(error.conflict().map(|conflict| conflict.path.as_str()), Some(at));
    }
    let batch = Batch::new([
        Op::release(path("locks/a"), token),
        set("a", "1").fenced(fence("locks/a", token)),
    ]);
    let error = store.refused_batch(batch).await;
    assert_eq!(error.conflict().map(|at| at.op_index), Some(1), "{error:?}");
}

/// The precondition of an op is looked at before its fence.
pub async fn precondition_comes_before_the_fence(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    store.set("a", "1").await;
    let op = set("a", "2").fenced(fence("locks/a", 9));
    store
        .refused(op.clone().when(Precondition::Match(Seq(9))), Conflict, "conflict")
        .await;
    store
        .refused(op.when(Precondition::Match(Seq(1))), Conflict, "fenced")
        .await;
}

/// Of many who ask for a lease at once, one gets it.
pub async fn one_of_many_takers_wins(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.leases() {
        return;
    }
    let takers = (0..16).map(|n| take("locks/a", &format!("worker-{n}"), LONG).into());
    let replies = store.race(takers.collect()).await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 15));
    for error in lost.into_iter().filter_map(Result::err) {
        assert_eq!(error.code(), "held", "{error:?}");
    }
}

/// Leases are told to subscribers like anything else, live and from the log.
pub async fn lease_ops_are_events(transport: &dyn Transport) {
    let store = Probe(transport);
    if !(store.leases() && store.subscribes()) {
        return;
    }
    let mut live = store.follow().await;
    let taken = store.leased(take("locks/a", "worker-1", LONG)).await;
    let renewed = store.leased(Op::renew(path("locks/a"), taken.token, LONG)).await;
    store.release("locks/a", taken.token + 1).await;
    store.release("locks/a", taken.token).await;
    let events = live.through(Seq(3)).await;
    assert_eq!(events, store.replay(Seq(3)).await);
    let told: Vec<_> = events.iter().map(|event| (event.kind, event.value.clone())).collect();
    assert_eq!(
        told,
        [
            (OpKind::Lease, Some(taken.to_value())),
            (OpKind::Renew, Some(renewed.to_value())),
            (OpKind::Release, None),
        ]
    );
}

/// A repeated op id gives the lease that was taken the first time.
pub async fn repetition_gives_the_lease_again(transport: &dyn Transport) {
    let store = Probe(transport);
    if !(store.leases() && transport.capabilities().op_ids) {
        return;
    }
    let batch = || {
        let ops = [
            Op::release(path("locks/b"), 7),
            take("locks/a", "worker-1", LONG),
            set("a", "1"),
        ];
        Batch::new(ops).with_id(OpId::new("once").expect("an id"))
    };
    let first = store.try_write(batch()).await.expect("the first time");
    let again = store.try_write(batch()).await.expect("a repetition");
    assert_eq!(
        (first.seqs.as_slice(), first.deduplicated),
        (&[Seq(0), Seq(1), Seq(2)][..], false)
    );
    assert_eq!(
        (again.seqs, again.done, again.deduplicated),
        (first.seqs, first.done, true)
    );
}

/// A store without leases says so, and of fences too.
pub async fn absent_leases_are_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    if store.leases() {
        return;
    }
    for op in [
        take("locks/a", "worker-1", LONG),
        Op::renew(path("locks/a"), 1, LONG),
        Op::release(path("locks/a"), 1),
        set("a", "1").fenced(fence("locks/a", 1)),
    ] {
        store.refused(op, NotSupported, "").await;
    }
}
