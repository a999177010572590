//! Putting files.

use dust_layer::Transaction;
use dust_transport::model::{Action, FileHash, FileRef, Op, ValueKind};
use dust_transport::transport::Done;

use super::{Applied, Moment};
use crate::draft::Draft;
use crate::error::{Halt, Refusal};

/// Keeps the file, and puts a reference to it in place of what is at and below the path.
pub(super) async fn put<T: Transaction>(
    draft: &mut Draft<'_, T>,
    op: &Op,
    hash: Option<&FileHash>,
    at: Moment,
) -> Result<Applied, Halt> {
    let (
        Action::PutFile {
            content,
            filename,
            content_type,
        },
        Some(hash),
    ) = (&op.action, hash)
    else {
        return Err(Refusal::invalid("invalid_params", "the op puts no file").into());
    };
    let content_type = content_type.as_deref().unwrap_or(FileRef::CONTENT_TYPE_DEFAULT);
    let file = FileRef {
        hash: *hash,
        size_bytes: content.len() as u64,
        content_type: content_type.to_owned(),
        filename: filename.clone(),
        uploaded_at: iso_8601(at.now_ms),
    };
    draft.put_blob(hash, content, content_type).await?;
    draft.clear_below(&op.path).await?;
    let value = file.to_value();
    draft.put_leaf(&op.path, &value, ValueKind::File, at.seq).await?;
    Ok(Applied {
        value: Some(value),
        done: Done::Stored(file),
    })
}

/// A time in milliseconds since 1970 as the wire writes it, in UTC and to the microsecond.
fn iso_8601(ms: u64) -> String {
    let (days, ms_of_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days);
    let seconds = ms_of_day / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}000Z",
        ms % 1000
    )
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar, by eras of 400 years from March on.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::iso_8601;

    #[test]
    fn times_are_written_in_the_gregorian_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(iso_8601(ms), text);
        }
    }
}
