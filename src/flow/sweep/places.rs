//! Places: how many tickets the worker looks at at once.

use crate::domain::time::{Seconds, Timestamp};

/// How many tickets the worker looks at at once.
const AT_ONCE: usize = 8;
/// For how long a look has one of these places: one that takes longer waits for the store, and
/// goes on beside them.
const PLACE: Seconds = Seconds(120);
/// How many looks are under way at most, those that take long included: a quarter of the turns
/// that all attempts of this process share.
const AT_MOST: usize = 16;

/// Whether one more look may begin beside those that began then.
pub(super) fn is_free(begun: impl Iterator<Item = Timestamp>, now: Timestamp) -> bool {
    let (mut all, mut young) = (0, 0);
    for moment in begun {
        all += 1;
        young += usize::from(now < moment.plus(PLACE));
    }
    all < AT_MOST && young < AT_ONCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_take_long_leave_their_places_to_others_up_to_a_bound() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let long = i64::from(PLACE.0);
        for (young, old, is_one_free) in [
            (0, 0, true),
            (7, 0, true),
            (8, 0, false),
            (0, 8, true),
            (7, 8, true),
            (8, 7, false),
            (7, 9, false),
            (0, 15, true),
            (0, 16, false),
        ] {
            let ago = |seconds: i64| Timestamp::from_millis(now.millis() - seconds * 1000);
            let begun = std::iter::repeat_n(ago(long - 1), young);
            let begun = begun.chain(std::iter::repeat_n(ago(long), old));
            assert_eq!(is_free(begun, now), is_one_free, "{young} and {old}");
        }
    }
}
