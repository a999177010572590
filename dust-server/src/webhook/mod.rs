//! Webhooks: every committed op of a store, sent to an address.
//!
//! There is no queue to lose. A webhook has a cursor, the last sequence number that its receiver has taken, and what follows
//! it is read from the log of the store. So deliveries are in order, one at a time for each webhook, and go on after a
//! restart where they stopped; what was taken just before the process died may come again.
//!
//! Of the servers on one database, one delivers the webhooks of a store: the one that has the lease `leases/<store>` in
//! `system/webhooks`. It renews it while it runs and gives it up when it stops; when it dies, the lease ends by itself, and
//! another one goes on at the cursor. Cursors are written under the lease, so one that was taken over writes none. What one
//! server makes, deletes or pings, the others hear of from the store. A server on a folder is alone and needs no lease.
//!
//! | module | holds |
//! |---|---|
//! | `address` | which addresses may be sent to |
//! | `delivery` | what was sent and what came back, the last of them |
//! | `dispatch` | a task for each webhook |
//! | `follow` | what other servers change |
//! | `hook` | one webhook |
//! | `lease` | which stores' webhooks this server delivers |
//! | `progress` | the cursor, failures, when to try again |
//! | `registry` | all webhooks, in memory and in the store `system/webhooks` |
//! | `sender` | signed requests |

mod address;
mod delivery;
mod dispatch;
mod follow;
mod hook;
mod lease;
mod progress;
mod registry;
mod sender;

pub(crate) use delivery::Delivery;
pub(crate) use dispatch::dispatch;
pub(crate) use hook::Hook;
pub(crate) use lease::Nodes;
pub(crate) use registry::{Registry, WEBHOOK_STORE, WebhookError};
pub(crate) use sender::Sender;
