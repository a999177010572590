//! What was sent and what came back, the last of them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// How many deliveries of a webhook are kept: as many as can be asked for.
pub(super) const KEPT: u64 = 100;

/// How long a delivery is kept.
const KEPT_SECONDS: u64 = 7 * 86_400;

/// One attempt to send an op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) id: Uuid,
    pub(crate) store_seq: u64,
    /// The status of the answer; `None` if there was none.
    pub(crate) status_code: Option<u16>,
    pub(crate) response_ms: u64,
    /// Why there was no answer.
    pub(crate) error: Option<String>,
    pub(crate) attempted_at: Timestamp,
}

/// As it is stored: a list, which is one leaf, where a map would be one for each field.
type Fields = (Uuid, u64, Option<u16>, u64, Option<String>, Timestamp);

impl Serialize for Delivery {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = (
            self.id,
            self.store_seq,
            self.status_code,
            self.response_ms,
            &self.error,
            self.attempted_at,
        );
        fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Delivery {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (id, store_seq, status_code, response_ms, error, attempted_at) = Fields::deserialize(deserializer)?;
        Ok(Self {
            id,
            store_seq,
            status_code,
            response_ms,
            error,
            attempted_at,
        })
    }
}

/// The last deliveries of a webhook, each in the place that its number gives it; a new one takes the place of the oldest.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// The oldest first.
    kept: VecDeque<Delivery>,
    /// How many there have been.
    count: u64,
    /// How many of the last are not stored yet.
    unsaved: u64,
}

impl Deliveries {
    /// What has been stored, in any order.
    pub(super) fn restored(stored: impl IntoIterator<Item = Delivery>, count: u64) -> Self {
        let mut kept: Vec<Delivery> = stored.into_iter().collect();
        // An id begins with the time and counts within it.
        kept.sort_by_key(|delivery| delivery.id);
        Self {
            kept: kept.into(),
            count,
            unsaved: 0,
        }
    }

    pub(super) fn push(&mut self, delivery: Delivery) {
        self.kept.push_back(delivery);
        self.count += 1;
        self.unsaved = KEPT.min(self.unsaved + 1);
        if self.kept.len() as u64 > KEPT {
            self.kept.pop_front();
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn unsaved(&self) -> u64 {
        self.unsaved
    }

    /// What is not stored yet with its places, which counts as stored from now on.
    pub(super) fn take_unsaved(&mut self) -> Vec<(u64, Delivery)> {
        let numbers = (0..self.count).rev();
        let last = self.kept.iter().rev().zip(numbers);
        let taken = last.map(|(delivery, number)| (number % KEPT, delivery.clone()));
        let unsaved = usize::try_from(std::mem::take(&mut self.unsaved)).unwrap_or(usize::MAX);
        taken.take(unsaved).collect()
    }

    /// The newest first, without those that are too old.
    pub(super) fn newest(&self, limit: usize, now: Timestamp) -> Vec<Delivery> {
        let is_kept = |delivery: &&Delivery| delivery.attempted_at.plus_seconds(KEPT_SECONDS) > now;
        self.kept
            .iter()
            .rev()
            .take_while(is_kept)
            .take(limit)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(number: u64) -> Delivery {
        Delivery {
            id: Uuid::from_u128(number.into()),
            store_seq: number,
            status_code: None,
            response_ms: 1,
            error: Some("timeout".to_owned()),
            attempted_at: Timestamp::from_ms(number * 1000),
        }
    }

    #[test]
    fn the_newest_hundred_are_kept_for_a_week_and_each_is_saved_once() {
        let mut deliveries = Deliveries::default();
        assert!(deliveries.take_unsaved().is_empty());
        deliveries.push(delivery(0));
        assert_eq!(deliveries.take_unsaved(), [(0, delivery(0))]);
        for number in 1..250 {
            deliveries.push(delivery(number));
        }
        let unsaved = deliveries.take_unsaved();
        let expected: Vec<_> = (150..250)
            .rev()
            .map(|number| (number % 100, delivery(number)))
            .collect();
        assert_eq!(unsaved, expected);
        assert!(deliveries.take_unsaved().is_empty());

        let now = Timestamp::from_ms(250_000);
        let seqs = |found: Vec<Delivery>| found.iter().map(|found| found.store_seq).collect::<Vec<_>>();
        assert_eq!(seqs(deliveries.newest(2, now)), [249, 248]);
        assert_eq!(deliveries.newest(1000, now).len(), 100);
        let week_later = Timestamp::from_ms(248_000).plus_seconds(7 * 86_400);
        assert_eq!(seqs(deliveries.newest(100, week_later)), [249]);

        let restored = Deliveries::restored(unsaved.into_iter().map(|(_, delivery)| delivery), 250);
        assert_eq!(restored.newest(100, now), deliveries.newest(100, now));
    }

    #[test]
    fn a_delivery_is_stored_as_one_list() {
        let text = serde_json::to_string(&delivery(7)).unwrap();
        assert!(text.starts_with('['), "{text}");
        assert_eq!(serde_json::from_str::<Delivery>(&text).unwrap(), delivery(7));
    }
}
