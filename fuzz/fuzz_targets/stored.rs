//! The decoders of what a store keeps take any bytes; what they take has one encoding, and is those bytes.
#![no_main]

use dust_store::codec::{Blob, Covered, Head, Leaf, Piece, Record, Remembered, Reply, Split};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(leaf) = Leaf::decode(bytes) {
        assert_eq!(leaf.encode(), bytes);
        assert!(!leaf.text.is_empty());
    }
    if let Ok(covered) = Covered::decode(bytes) {
        assert_eq!(covered.encode(), bytes);
    }
    if let Ok(split) = Split::decode(bytes) {
        assert_eq!(split.encode(), bytes);
        assert!(split.pieces > 0);
    }
    if let Ok(piece) = Piece::decode(bytes) {
        assert_eq!(piece.encode(), bytes);
        assert!(!piece.part.is_empty());
    }
    if let Ok(record) = Record::decode(bytes) {
        assert_eq!(record.encode(), bytes);
        assert!(!record.device.is_empty() && !record.path.is_empty());
    }
    if let Ok(head) = Head::decode(bytes) {
        assert_eq!(head.encode(), bytes);
        assert!(head.pruned <= head.seq && head.compacted <= head.seq);
    }
    if let Ok(reply) = Reply::decode(bytes) {
        assert_eq!(reply.encode(), bytes);
        assert!(reply.count > 0 && reply.first.checked_add(reply.count).is_some());
    }
    if let Ok(blob) = Blob::decode(bytes) {
        assert_eq!(blob.encode(), bytes);
    }
    if let Ok(remembered) = Remembered::decode(bytes) {
        assert_eq!(remembered.encode(), bytes);
    }
});
