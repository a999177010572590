//! Where our server answers otherwise than the recorded one, and why.

/// What our server answers instead.
#[derive(Debug)]
pub(crate) enum Ours {
    /// A refusal of this status and code.
    Refused(u16, &'static str),
    /// This body, with status 200.
    Body(&'static str),
    /// These lines, with status 200.
    Lines(&'static str),
    /// An answer of this status, of which there is more to say than fits here.
    Status(u16),
    /// The recorded body but for these headers, which are not sent.
    Without(&'static str),
}

/// One exchange, or several of one kind.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) group: &'static str,
    pub(crate) cases: &'static [usize],
    pub(crate) ours: Ours,
    /// How many ops more our server commits in each of them; what is numbered after them is compared with that offset.
    pub(crate) seqs: i64,
    /// Sent after all others of the group, since what it commits would change what follows.
    pub(crate) last: bool,
    pub(crate) because: &'static str,
}

const fn differs(group: &'static str, cases: &'static [usize], ours: Ours, because: &'static str) -> Difference {
    Difference {
        group,
        cases,
        ours,
        seqs: 0,
        last: false,
        because,
    }
}

impl Difference {
    const fn seqs(mut self, seqs: i64) -> Self {
        self.seqs = seqs;
        self
    }

    const fn last(mut self) -> Self {
        self.last = true;
        self
    }
}

use Ours::{Body, Lines, Refused, Status, Without};

pub(crate) const DIFFERENCES: &[Difference] = &[
    differs(
        "generic-http",
        &[5],
        Refused(404, "not_found"),
        "a field `_method` of a form is a habit of the recorded framework, and no form is read",
    )
    .seqs(-1),
    differs(
        "generic-http",
        &[8, 9],
        Without("content-encoding"),
        "compression is left to a proxy",
    ),
    differs(
        "generic-http",
        &[11],
        Refused(400, "invalid_params"),
        "open point 2: paths and patterns have a limit",
    ),
    differs(
        "generic-http",
        &[29],
        Status(200),
        "TRAP 2: one request id is one write",
    )
    .seqs(-1),
    differs(
        "generic-http",
        &[44],
        Refused(400, "invalid_params"),
        "a form is no JSON",
    )
    .seqs(-1),
    differs(
        "generic-http",
        &[45],
        Refused(404, "not_found"),
        "the form before it was not stored",
    ),
    differs(
        "generic-http",
        &[49],
        Refused(400, "invalid_params"),
        "Appendix C: what is not UTF-8 is the client's mistake, and no 500",
    ),
    differs(
        "value-types",
        &[43],
        Body(r#"{"path":"ineg0","value":-0,"type":"integer","revision":20}"#),
        "open point 6: a number is kept as it was written",
    ),
    differs(
        "value-types",
        &[74],
        Refused(400, "invalid_params"),
        "the recorded detail is an inspected term",
    ),
    differs(
        "value-types",
        &[85],
        Body(r#"{"path":"uj","value":{"_json":5},"type":"map","revision":39}"#),
        "a key `_json` is a key; that it is read as its value is a habit of the recorded framework",
    ),
    differs(
        "value-types",
        &[87],
        Body(r#"{"path":"uj2","value":{"_json":5,"a":1},"type":"map","revision":40}"#),
        "as for `uj`",
    ),
    differs(
        "value-types",
        &[92],
        Refused(400, "invalid_params"),
        "TRAP 31: a lease is not written as a value",
    )
    .seqs(-1),
    differs(
        "value-types",
        &[93],
        Refused(404, "not_found"),
        "the lease before it was not written",
    ),
    differs(
        "value-types",
        &[95],
        Body(r#"{"path":"env_dec","value":"29.99","type":"decimal","revision":43}"#),
        "TRAP 5: a decimal has a type of its own",
    ),
    differs(
        "value-types",
        &[97],
        Body(r#"{"path":"env_dt","value":"2026-01-02T03:04:05Z","type":"datetime","revision":44}"#),
        "TRAP 5: a time has a type of its own",
    ),
    differs(
        "value-types",
        &[99],
        Body(r#"{"path":"env_dt2","value":"2026-01-02T03:04:05.123456+02:00","type":"datetime","revision":45}"#),
        "TRAP 5, and a time is kept as it was written",
    ),
    differs(
        "value-types",
        &[101],
        Body(r#"{"path":"env_bad","value":{"_typed":"abc","_type":"decimal"},"type":"map","revision":46}"#),
        "Appendix C: a broken envelope is kept as it is, and its read is no 500",
    ),
    differs(
        "value-types",
        &[110],
        Status(200),
        "Appendix C: a broken envelope does not spoil a list",
    ),
    differs("value-types", &[112], Status(200), "TRAP 31: without the lease"),
    differs(
        "paths",
        &[41],
        Refused(400, "invalid_params"),
        "open point 2: no NUL in a path",
    )
    .seqs(-1),
    differs(
        "paths",
        &[42],
        Refused(400, "invalid_params"),
        "open point 2: no NUL in a path",
    ),
    differs(
        "paths",
        &[53],
        Refused(400, "invalid_params"),
        "open point 2: at most 128 segments",
    )
    .seqs(-1),
    differs(
        "paths",
        &[54],
        Refused(400, "invalid_params"),
        "open point 2: at most 128 segments",
    ),
    differs(
        "paths",
        &[60, 61],
        Status(200),
        "open point 2: without the two paths that were refused",
    ),
    differs(
        "put-preconditions",
        &[7, 8, 38],
        Refused(412, "conflict"),
        "TRAP 8: an ETag is taken as it was given",
    )
    .last(),
    differs(
        "put-preconditions",
        &[14],
        Refused(412, "conflict"),
        "RFC 9110: blanks around a header's value are not part of it",
    )
    .last(),
    differs(
        "delete-and-subtree",
        &[3],
        Body(r#"{"path":"links","value":{"a":{"t":1},"b":{"t":2}},"type":"map","revision":1}"#),
        "TRAP 3: `Links` is not `links`",
    ),
    differs(
        "delete-and-subtree",
        &[5],
        Body(r#"{"path":"links","value":{"b":{"t":2}},"type":"map","revision":1}"#),
        "TRAP 3: `Links` is not `links`",
    ),
    differs(
        "delete-and-subtree",
        &[8],
        Body(r#"{"path":"Links/x","value":9,"type":"integer","revision":2}"#),
        "TRAP 3: `Links` is not `links`",
    ),
    differs(
        "scalar-ancestor-with-descendant",
        &[7],
        Body(r#"{"path":"top","value":{"x":{"y":2}},"type":"map","revision":4}"#),
        "TRAP 4: the leaves below win",
    ),
    differs(
        "scalar-ancestor-with-descendant",
        &[8],
        Status(200),
        "TRAP 4: the leaves below win",
    ),
    differs(
        "batch-write",
        &[31],
        Refused(400, "invalid_params"),
        "the recorded detail is an inspected term",
    ),
    differs(
        "list",
        &[11],
        Refused(400, "invalid_params"),
        "a cursor is a path; another one was never given out",
    ),
    differs(
        "list",
        &[18],
        Body(r#"{"items":["a"],"next_cursor":null}"#),
        "Appendix C: a pattern without a wildcard matches the path that it spells",
    ),
    differs(
        "list",
        &[19],
        Body(r#"{"items":["links/bar/title"],"next_cursor":null}"#),
        "Appendix C: a pattern without a wildcard matches the path that it spells",
    ),
    differs(
        "list",
        &[30, 32, 33, 34],
        Refused(400, "invalid_params"),
        "the recorded detail is one for all faults; ours names the fault",
    ),
    differs(
        "list",
        &[41],
        Refused(400, "invalid_pattern_for_prefixes"),
        "the detail is in our words",
    ),
    differs("list", &[42], Status(200), "a base with a wildcard has prefixes, too"),
    differs(
        "list",
        &[55],
        Refused(400, "unsupported_select"),
        "the detail is in our words",
    ),
    differs(
        "stores",
        &[0],
        Status(200),
        "the recorded server had stores of other runs",
    ),
    differs(
        "stores",
        &[13],
        Refused(422, "invalid_store"),
        "1.1: a name is matched whole, with no newline after it",
    ),
    differs("stores", &[16], Status(201), "1.1: a ttl counts over HTTP, too"),
    differs("stores", &[17], Status(201), "there are no plans"),
    differs(
        "stores",
        &[19],
        Refused(403, "forbidden"),
        "our extension: a token with stores:create archives a store by DELETE",
    ),
    differs(
        "misc-routes",
        &[0, 1],
        Refused(426, "upgrade_required"),
        "the detail is in our words",
    ),
    differs(
        "webhooks",
        &[10],
        Status(200),
        "Appendix C: the recorded deliveries are out of order; ours are in the order of the log",
    ),
    differs(
        "webhooks",
        &[15],
        Refused(502, "the receiver was not reached"),
        "the recorded reason is an inspected term",
    ),
    differs(
        "writer-overload",
        &[0],
        Status(200),
        "TRAP 27: the batch is committed in time",
    ),
    differs(
        "export-import",
        &[2, 3, 6],
        Lines(
            r#"[{"_header":true,"store":"acme/h-exp","seq":5,"entry_count":5,"path_schema_version":3,"exported_at":""},
                {"path":"a/b","value":1,"type":"integer"},{"path":"arr","value":[1,2],"type":"list"},
                {"path":"a~1b","value":"s","type":"string"},{"path":"dec","value":"1.5","type":"decimal"},
                {"path":"nul","value":null,"type":"null"}]"#,
        ),
        "TRAP 5 and open point 1: decimals and lists have types of their own",
    ),
    differs(
        "export-import",
        &[11],
        Body(
            r#"{"items":["a/b","arr","a~1b","dec","imp/a","imp/c","imp/m/x/y","nul","old.style.key","sl/ash"],
                "next_cursor":null}"#,
        ),
        "TRAP 32: without a header, paths with slashes are paths",
    ),
    differs(
        "export-import",
        &[12, 13],
        Refused(404, "not_found"),
        "TRAP 32, as above",
    ),
    differs(
        "export-import",
        &[17],
        Refused(400, "invalid_params"),
        "a body that is not looked at was not imported",
    ),
    differs(
        "export-import",
        &[20],
        Body(
            r#"{"ok":false,"imported":0,"skipped":2,"unparseable":0,
                "failed":[{"line":2,"path":"ff","reason":"not_a_file"}]}"#,
        ),
        "the recorded reason is an inspected term",
    ),
    differs(
        "export-import",
        &[22],
        Body(
            r#"{"items":[{"path":"a/b","value":1,"type":"integer","revision":1},
                {"path":"arr","value":[1,2],"type":"list","revision":3},
                {"path":"a~1b","value":"s","type":"string","revision":2},
                {"path":"dec","value":"1.5","type":"decimal","revision":5},
                {"path":"g/h","value":1,"type":"integer","revision":11},
                {"path":"imp/a","value":1,"type":"integer","revision":6},
                {"path":"imp/c","value":5,"type":"counter","revision":8},
                {"path":"imp/m/x/y","value":1,"type":"integer","revision":7},
                {"path":"nct","value":1,"type":"integer","revision":13},
                {"path":"noval","value":null,"type":"null","revision":12},
                {"path":"nul","value":null,"type":"null","revision":4},
                {"path":"old.style.key","value":1,"type":"integer","revision":9},
                {"path":"sl/ash","value":2,"type":"integer","revision":10},
                {"path":"ty1","value":[1],"type":"set","revision":14},
                {"path":"ty2","value":1,"type":"integer","revision":15},
                {"path":"ty3/q","value":1,"type":"integer","revision":16}],"next_cursor":null}"#,
        ),
        "a value has the type that it is of; open point 1, TRAP 5 and TRAP 32",
    ),
    differs(
        "clone-diff-log",
        &[24],
        Refused(400, "invalid_params"),
        "a filter that is no time is not ignored",
    ),
    differs(
        "clone-diff-log",
        &[27],
        Status(200),
        "a page of the log has at most 1000 ops",
    ),
    differs(
        "clone-diff-log",
        &[28],
        Refused(400, "invalid_params"),
        "a filter that is no pattern matches nothing by mistake",
    ),
    differs(
        "clone-diff-log",
        &[39],
        Refused(404, "not_found"),
        "there are no plans, and no store of that name",
    ),
];

/// Exchanges whose routes are not built, and why.
pub(crate) const NOT_BUILT_CASES: &[(&str, &[usize], &str)] =
    &[("misc-routes", &[6, 7, 8], "MCP and OAuth are not part of this server")];
