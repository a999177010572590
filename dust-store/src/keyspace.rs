//! The keys of a store under the prefix of its tenant.
//!
//! | tuple after the prefix | holds |
//! |---|---|
//! | `(FD, "e", rendered path)` | a leaf, [`codec::Leaf`](crate::codec::Leaf) |
//! | `(FD, "o", store_seq)` | an op of the log, [`codec::Record`](crate::codec::Record) |
//! | `(FD, "h")` | the head: last sequence number and the place of pruning, [`codec::Head`](crate::codec::Head) |
//! | `(FD, "u", device, op_id)` | where a batch with an op id was committed, [`codec::Reply`](crate::codec::Reply) |
//! | `(FD, "s", rendered path)` | a leaf of the base: as it was when the log was last compacted |
//! | `(FD, "b", hash)` | a file: its size, its media type and who refers to it, [`codec::Blob`](crate::codec::Blob) |
//! | `(FD, "c", hash, n)` | the content of a file, piece by piece |
//! | `(FD, "f", store_seq)` | an op id that outlives its op, [`codec::Remembered`](crate::codec::Remembered) |
//! | `(FD, prefix, "i", index, n, v1 … vn, slug)` | an entry of an index; the prefix is a Unicode string (tuple code `02`) |
//! | `(FD, prefix, "g")` | the id of the last write of records of the prefix that live only in their indexes |
//! | the key of an entry, and a number | a piece of the record of that entry, [`codec::Piece`](crate::codec::Piece) |
//! | `(FE, "indexes")` | the definitions of the indexes |
//! | `(FE, "format")` | the version of all this, [`FORMAT`](crate::codec::FORMAT) |
//!
//! Every other string is a byte string (tuple code `01`). A path holds no NUL, so the key of a leaf is a fixed prefix, the
//! bytes of the path and one `00`: the order of keys is the byte order of rendered paths, and what is below `p` lies in
//! `p/ .. p0`. The bounds of ranges leave the closing `00` out; that changes nothing, as no path holds a byte below 1.

use std::ops::Range;

use dust_layer::tuple::pack_into;
use dust_transport::model::FileHash;

/// Builds and takes apart the keys of one store.
#[derive(Debug, Clone)]
pub(crate) struct Keyspace {
    leaf: Vec<u8>,
    base: Vec<u8>,
    blob: Vec<u8>,
    chunk: Vec<u8>,
    remembered: Vec<u8>,
    log: Vec<u8>,
    head: Vec<u8>,
    reply: Vec<u8>,
    format: Vec<u8>,
    indexes: Vec<u8>,
    tenant: Range<Vec<u8>>,
}

impl Keyspace {
    pub(crate) fn new(tenant_prefix: &[u8]) -> Self {
        let under = |space: u8, name: &[u8]| {
            let mut key = tenant_prefix.to_vec();
            pack_into(&(&[space][..], name), &mut key);
            key
        };
        let mut leaf = under(0xFD, b"e");
        leaf.push(0x01);
        let mut base = under(0xFD, b"s");
        base.push(0x01);
        let mut begin = tenant_prefix.to_vec();
        begin.push(0x00);
        let mut end = tenant_prefix.to_vec();
        end.push(0xFF);
        Self {
            leaf,
            base,
            blob: under(0xFD, b"b"),
            chunk: under(0xFD, b"c"),
            remembered: under(0xFD, b"f"),
            log: under(0xFD, b"o"),
            head: under(0xFD, b"h"),
            reply: under(0xFD, b"u"),
            format: under(0xFE, b"format"),
            indexes: under(0xFE, b"indexes"),
            tenant: begin..end,
        }
    }

    /// The same keys, with the leaves of the base in place of the leaves.
    pub(crate) fn base(&self) -> Self {
        Self {
            leaf: self.base.clone(),
            ..self.clone()
        }
    }

    /// The key of the head.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The key of the format version.
    pub(crate) fn format(&self) -> &[u8] {
        &self.format
    }

    /// The key of the definitions of the indexes.
    pub(crate) fn indexes(&self) -> &[u8] {
        &self.indexes
    }

    /// What all keys of the tenant begin with.
    pub(crate) fn prefix(&self) -> &[u8] {
        let start = &self.tenant.start;
        start.strip_suffix(&[0x00]).unwrap_or(start)
    }

    /// The key that changes with every write of records of a prefix that live only in their indexes.
    pub(crate) fn stamp(&self, prefix: &str) -> Vec<u8> {
        let mut key = self.prefix().to_vec();
        pack_into(&(&[0xFD_u8][..], prefix, &b"g"[..]), &mut key);
        key
    }

    /// Everything that a tenant can hold.
    pub(crate) fn tenant(&self) -> &Range<Vec<u8>> {
        &self.tenant
    }

    /// The key of a leaf.
    pub(crate) fn leaf(&self, rendered: &str) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.leaf.len() + rendered.len() + 1);
        key.extend_from_slice(&self.leaf);
        key.extend_from_slice(rendered.as_bytes());
        key.push(0x00);
        key
    }

    /// A bound of a range of leaves: paths from here on, or up to here.
    pub(crate) fn bound(&self, rendered: &str) -> Vec<u8> {
        let mut key = self.leaf(rendered);
        key.pop();
        key
    }

    /// The bound after a path and before everything that follows it.
    pub(crate) fn bound_after(&self, rendered: &str) -> Vec<u8> {
        let mut key = self.bound(rendered);
        key.push(0x01);
        key
    }

    /// The range of what is strictly below a path.
    pub(crate) fn below(&self, rendered: &str) -> Range<Vec<u8>> {
        let mut begin = self.leaf(rendered);
        let mut end = begin.clone();
        if let (Some(first), Some(last)) = (begin.last_mut(), end.last_mut()) {
            *first = b'/';
            *last = b'0';
        }
        begin..end
    }

    /// The range of all leaves.
    pub(crate) fn leaves(&self) -> Range<Vec<u8>> {
        let mut end = self.leaf.clone();
        if let Some(last) = end.last_mut() {
            *last = 0x02;
        }
        self.leaf.clone()..end
    }

    /// The rendered path in the key of a leaf; `None` for any other key.
    pub(crate) fn path_of<'k>(&self, key: &'k [u8]) -> Option<&'k str> {
        let rendered = key.strip_prefix(&*self.leaf)?.strip_suffix(&[0x00])?;
        std::str::from_utf8(rendered).ok()
    }

    /// The key of an op of the log.
    pub(crate) fn record(&self, seq: u64) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.log.len() + 9);
        key.extend_from_slice(&self.log);
        pack_into(&(seq,), &mut key);
        key
    }

    /// The range of the ops after one sequence number.
    pub(crate) fn records_after(&self, seq: u64) -> Range<Vec<u8>> {
        let begin = match seq.checked_add(1) {
            Some(next) => self.record(next),
            None => [&*self.log, &[0x1D]].concat(),
        };
        begin..[&*self.log, &[0x1D]].concat()
    }

    /// The key of an op id that outlives its op.
    pub(crate) fn remembered(&self, seq: u64) -> Vec<u8> {
        let mut key = self.remembered.clone();
        pack_into(&(seq,), &mut key);
        key
    }

    /// The sequence number in the key of an op id that outlives its op; `None` for any other key.
    pub(crate) fn remembered_seq_of(&self, key: &[u8]) -> Option<u64> {
        seq_after(&self.remembered, key)
    }

    /// The key of a file.
    pub(crate) fn blob(&self, hash: &FileHash) -> Vec<u8> {
        let mut key = self.blob.clone();
        pack_into(&(&hash.as_bytes()[..],), &mut key);
        key
    }

    /// The key of a piece of a file.
    pub(crate) fn chunk(&self, hash: &FileHash, index: u64) -> Vec<u8> {
        let mut key = self.chunk.clone();
        pack_into(&(&hash.as_bytes()[..], index), &mut key);
        key
    }

    /// The range of the pieces of a file.
    pub(crate) fn chunks(&self, hash: &FileHash) -> Range<Vec<u8>> {
        let mut begin = self.chunk.clone();
        pack_into(&(&hash.as_bytes()[..],), &mut begin);
        let mut end = begin.clone();
        begin.push(0x14);
        end.push(0x1D);
        begin..end
    }

    /// The sequence number in the key of an op; `None` for any other key.
    pub(crate) fn seq_of(&self, key: &[u8]) -> Option<u64> {
        seq_after(&self.log, key)
    }

    /// The key under which the reply to a batch with an op id is kept.
    pub(crate) fn reply(&self, device: &str, op_id: &str) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.reply.len() + device.len() + op_id.len() + 4);
        key.extend_from_slice(&self.reply);
        pack_into(&(device.as_bytes(), op_id.as_bytes()), &mut key);
        key
    }
}

/// The sequence number that is all of a key after a prefix.
fn seq_after(prefix: &[u8], key: &[u8]) -> Option<u64> {
    let (code, digits) = key.strip_prefix(prefix)?.split_first()?;
    if usize::from(*code) != 0x14 + digits.len() || digits.len() > 8 {
        return None;
    }
    Some(digits.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    /// Changing one of these needs a new format version.
    #[test]
    fn keys_are_tuples() {
        let keys = Keyspace::new(&[0x15, 0x2A]);
        assert_eq!(
            hex(&keys.leaf("links/a~1b")),
            "152a01fd0001650001".to_owned() + "6c696e6b732f617e316200"
        );
        assert_eq!(hex(keys.head()), "152a01fd00016800");
        assert_eq!(hex(&keys.stamp("r/s")), "152a01fd0002722f7300016700");
        assert_eq!(hex(keys.format()), "152a01fe0001666f726d617400");
        assert_eq!(hex(&keys.record(0)), "152a01fd00016f0014");
        assert_eq!(hex(&keys.record(1)), "152a01fd00016f001501");
        assert_eq!(hex(&keys.record(256)), "152a01fd00016f00160100");
        assert_eq!(hex(&keys.record(u64::MAX)), "152a01fd00016f001cffffffffffffffff");
        assert_eq!(
            hex(&keys.reply("dev", "o\0p")),
            "152a01fd00017500016465760001".to_owned() + "6f00ff7000"
        );
    }

    #[test]
    fn ranges_hold_what_is_below_and_nothing_beside() {
        let keys = Keyspace::new(&[0x15, 0x2A]);
        let below = keys.below("links");
        for (path, inside) in [
            ("links", false),
            ("links/a", true),
            ("links-old/a", false),
            ("links.old", false),
            ("links0", false),
            ("Links/a", false),
        ] {
            assert_eq!(below.contains(&keys.leaf(path)), inside, "{path}");
            assert!(keys.leaves().contains(&keys.leaf(path)), "{path}");
            assert_eq!(keys.path_of(&keys.leaf(path)), Some(path));
        }
        assert!(keys.bound("a") < keys.leaf("a") && keys.leaf("a") < keys.bound_after("a"));
        assert!(keys.bound_after("a") <= keys.leaf("a\u{1}"));
        assert!(keys.leaf("a") < keys.leaf("a-b/c") && keys.leaf("a-b/c") < keys.leaf("a/c"));
    }

    #[test]
    fn seqs_come_back_in_order() {
        let keys = Keyspace::new(&[0x15, 0x2A]);
        let seqs = [1, 2, 255, 256, 65_535, 65_536, u64::MAX - 1, u64::MAX];
        assert!(seqs.windows(2).all(|pair| keys.record(pair[0]) < keys.record(pair[1])));
        for seq in seqs {
            assert_eq!(keys.seq_of(&keys.record(seq)), Some(seq));
            assert!(keys.records_after(seq - 1).contains(&keys.record(seq)));
            assert!(!keys.records_after(seq).contains(&keys.record(seq)));
        }
        assert_eq!(keys.seq_of(keys.head()), None);
    }
}
