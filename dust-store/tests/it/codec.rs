//! The stored values, byte by byte. Changing one of these needs a new format version.

use dust_store::codec::{Blob, Covered, DecodeError, Head, Leaf, Piece, Record, Remembered, Reply, Split};
use dust_transport::model::{OpKind, ValueKind};
use proptest::prelude::*;

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn values_are_these_bytes() {
    let leaf = Leaf {
        kind: ValueKind::String,
        revision: 300,
        text: "\"Dust\"",
    };
    assert_eq!(hex(&leaf.encode()), "0104ac02224475737422");
    assert_eq!(Leaf::decode(&leaf.encode()), Ok(leaf));

    let covered = Covered {
        leaves: vec![("a/b", leaf), ("t", leaf)],
    };
    let hex_leaf = "0a".to_owned() + "0104ac02224475737422";
    assert_eq!(hex(&covered.encode()), format!("0103612f62{hex_leaf}0174{hex_leaf}"));
    assert_eq!(Covered::decode(&covered.encode()), Ok(covered.clone()));
    let (first, second) = (covered.leaves[0], covered.leaves[1]);
    for leaves in [vec![], vec![second, first], vec![first, first], vec![("", leaf)]] {
        assert_eq!(Covered::decode(&Covered { leaves }.encode()), Err(DecodeError::Shape));
    }

    let split = Split {
        pieces: 3,
        bytes: 300,
        crc32: 0x0102_0304,
    };
    assert_eq!(hex(&split.encode()), "0203ac0201020304");
    assert_eq!(Split::decode(&split.encode()), Ok(split));
    let piece = Piece {
        number: 200,
        part: b"Dust",
    };
    assert_eq!(hex(&piece.encode()), "03c80144757374");
    assert_eq!(Piece::decode(&piece.encode()), Ok(piece));

    let record = Record {
        kind: OpKind::Merge,
        wall_clock_ms: 1_700_000_000_000,
        batch_index: 1,
        device: "dev",
        op_id: Some("op"),
        path: "a/b",
        value: Some("{}"),
    };
    assert_eq!(hex(&record.encode()), "010280d095ffbc310103646576026f7003612f627b7d");
    assert_eq!(Record::decode(&record.encode()), Ok(record));

    let delete = Record {
        kind: OpKind::Delete,
        op_id: None,
        value: None,
        ..record
    };
    assert_eq!(hex(&delete.encode()), "010180d095ffbc3101036465760003612f62");
    assert_eq!(Record::decode(&delete.encode()), Ok(delete));

    let head = Head {
        seq: 128,
        pruned: 5,
        compacted: 4,
        compacted_at_ms: 300,
        entries: 1,
        file_bytes: 2,
    };
    assert_eq!(hex(&head.encode()), "0280010504ac020102");
    assert_eq!(Head::decode(&head.encode()), Ok(head));
    let before = Head {
        seq: 128,
        pruned: 5,
        ..Head::default()
    };
    assert_eq!(Head::decode_1(b"\x01\x80\x01\x05"), Ok(before));

    let plain = Reply {
        first: 7,
        count: 2,
        done: Vec::new(),
    };
    assert_eq!(hex(&plain.encode()), "010702");
    let told = Reply {
        done: vec![(0, ""), (1, "{}")],
        ..plain
    };
    assert_eq!(hex(&told.encode()), "0107020000".to_owned() + "01027b7d");
    assert_eq!(Reply::decode(&told.encode()), Ok(told));

    let blob = Blob {
        size_bytes: 300,
        live: 1,
        kept: 2,
        content_type: "a/b",
    };
    assert_eq!(hex(&blob.encode()), "01ac020102612f62");
    assert_eq!(Blob::decode(&blob.encode()), Ok(blob));
    let remembered = Remembered {
        wall_clock_ms: 300,
        device: "dev",
        op_id: "op",
    };
    assert_eq!(hex(&remembered.encode()), "01ac02036465766f70");
    assert_eq!(Remembered::decode(&remembered.encode()), Ok(remembered));
}

#[test]
fn every_kind_has_its_byte() {
    for (byte, kind) in ValueKind::ALL.into_iter().enumerate() {
        let bytes = Leaf {
            kind,
            revision: 1,
            text: "0",
        }
        .encode();
        assert_eq!(
            (usize::from(bytes[1]), Leaf::decode(&bytes).unwrap().kind),
            (byte, kind)
        );
    }
    for (byte, kind) in OpKind::ALL.into_iter().enumerate() {
        let value = Some("0").filter(|_| !matches!(kind, OpKind::Delete | OpKind::Release));
        let record = Record {
            kind,
            wall_clock_ms: 0,
            batch_index: 0,
            device: "d",
            op_id: None,
            path: "p",
            value,
        };
        let bytes = record.encode();
        assert_eq!((usize::from(bytes[1]), Record::decode(&bytes)), (byte, Ok(record)));
    }
}

#[test]
fn what_is_no_value_is_refused() {
    for (bytes, error) in [
        (&b""[..], DecodeError::Short),
        (b"\x02\x00\x01x", DecodeError::Version(2)),
        (b"\x01\x63\x01x", DecodeError::Kind(0x63)),
        (b"\x01\x00\x80", DecodeError::Short),
        (b"\x01\x00\x80\x00x", DecodeError::Number),
        (
            b"\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02x",
            DecodeError::Number,
        ),
        (b"\x01\x00\x01", DecodeError::Shape),
        (b"\x01\x00\x01\xff", DecodeError::Utf8),
    ] {
        assert_eq!(Leaf::decode(bytes), Err(error), "{bytes:?}");
    }
    assert_eq!(Split::decode(b"\x02\x00\x01\x00\x00\x00\x00"), Err(DecodeError::Shape));
    assert_eq!(Split::decode(b"\x02\x01\x01\x00\x00\x00"), Err(DecodeError::Short));
    assert_eq!(
        Split::decode(b"\x02\x01\x01\x00\x00\x00\x00\x00"),
        Err(DecodeError::Long)
    );
    assert_eq!(Piece::decode(b"\x03\x01"), Err(DecodeError::Shape));
    assert_eq!(Head::decode(b"\x01\x01\x00"), Err(DecodeError::Version(1)));
    assert_eq!(
        Head::decode(b"\x02\x01\x00\x00\x00\x00\x00\x00"),
        Err(DecodeError::Long)
    );
    assert_eq!(Head::decode(b"\x02\x01\x02\x00\x00\x00\x00"), Err(DecodeError::Shape));
    assert_eq!(Head::decode(b"\x02\x01\x00\x02\x00\x00\x00"), Err(DecodeError::Shape));
    assert_eq!(Reply::decode(b"\x01\x01\x01\x01\x00"), Err(DecodeError::Shape));
    assert_eq!(Reply::decode(b"\x01\x01\x02\x01\x00\x00\x00"), Err(DecodeError::Shape));
    assert_eq!(Reply::decode(b"\x01\x01\x00"), Err(DecodeError::Shape));
    assert_eq!(
        Record::decode(b"\x01\x00\x00\x00\xff\xff\xff\xff\x7fd"),
        Err(DecodeError::Short)
    );
}

proptest! {
    /// Whatever decodes encodes to the same bytes, and nothing panics.
    #[test]
    fn decoders_are_total_and_canonical(mut bytes in prop::collection::vec(any::<u8>(), 0..40), version in 0_u8..4) {
        if let (1.., Some(first)) = (version, bytes.first_mut()) {
            *first = version;
        }
        if let Ok(leaf) = Leaf::decode(&bytes) {
            prop_assert_eq!(&leaf.encode(), &bytes);
        }
        if let Ok(covered) = Covered::decode(&bytes) {
            prop_assert_eq!(&covered.encode(), &bytes);
        }
        if let Ok(split) = Split::decode(&bytes) {
            prop_assert_eq!(&split.encode(), &bytes);
        }
        if let Ok(piece) = Piece::decode(&bytes) {
            prop_assert_eq!(&piece.encode(), &bytes);
        }
        if let Ok(record) = Record::decode(&bytes) {
            prop_assert_eq!(&record.encode(), &bytes);
        }
        if let Ok(head) = Head::decode(&bytes) {
            prop_assert_eq!(&head.encode(), &bytes);
        }
        if let Ok(reply) = Reply::decode(&bytes) {
            prop_assert_eq!(&reply.encode(), &bytes);
        }
        if let Ok(blob) = Blob::decode(&bytes) {
            prop_assert_eq!(&blob.encode(), &bytes);
        }
        if let Ok(remembered) = Remembered::decode(&bytes) {
            prop_assert_eq!(&remembered.encode(), &bytes);
        }
    }
}
