//! "Did you mean".

/// What the writer of `given` most likely meant: the nearest of `known`, at most two edits away.
pub(crate) fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = |name: &&str| {
        let edits = distance(given, name);
        // As many edits as letters turn any word into any other.
        (edits <= 2 && edits < given.chars().count()).then_some(edits)
    };
    known
        .iter()
        .copied()
        .filter(|name| near(name).is_some())
        .min_by_key(|name| near(name))
}

/// How many letters have to be put in, taken out or replaced to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.chars().zip(row.windows(2)) {
            let [diagonal, up] = above else { continue };
            left = (up + 1).min(left + 1).min(diagonal + usize::from(from != to));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("prefix", "prefix", 0),
            ("prefx", "prefix", 1),
            ("perfix", "prefix", 2),
            ("kitten", "sitting", 3),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(distance(a, b), edits, "{a} → {b}");
        }
    }

    #[test]
    fn the_nearest_within_two_edits() {
        let known = ["slug", "required", "rename", "default", "skip"];
        for (given, meant) in [
            ("requird", Some("required")),
            ("renamed", Some("rename")),
            ("skipp", Some("skip")),
            ("slog", Some("slug")),
            ("index", None),
            ("ab", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, &known), meant, "{given}");
        }
    }
}
