//! A pass's tally: what went well, the trouble it met, and whose that is.

use super::super::App;
use crate::domain::problem::{Code, Problem};
use crate::store::{Bucket, StoreError};

/// How many in a row may meet trouble before the pass ends: in an outage nothing is won by
/// asking for every ticket.
const TROUBLE_ENOUGH: usize = 3;

/// How many went well in a pass, and the trouble it is in.
#[derive(Debug, Default)]
pub(super) struct Tally {
    done: usize,
    in_a_row: usize,
    last: Option<Problem>,
}

/// Whose the trouble is that a pass ended in.
#[derive(Debug, PartialEq)]
enum Trouble {
    /// There is none, or it is behind the pass.
    None,
    /// The whole store's, or the database's.
    Everybodys(Problem),
    /// The store's, or that of the one or two objects it was asked for.
    Somebodys(Problem),
}

impl Tally {
    pub(super) fn well(&mut self, done: bool) {
        self.done += usize::from(done);
        (self.in_a_row, self.last) = (0, None);
    }

    pub(super) fn ill(&mut self, problem: Problem) {
        self.in_a_row += 1;
        self.last = Some(problem);
    }

    pub(super) fn is_enough(&self) -> bool {
        self.in_a_row >= TROUBLE_ENOUGH
    }

    /// Whether the last one met trouble.
    pub(super) fn is_ill(&self) -> bool {
        self.last.is_some()
    }

    fn trouble(&self) -> Trouble {
        match &self.last {
            None => Trouble::None,
            Some(problem) if self.is_enough() || !is_stores(problem) => {
                Trouble::Everybodys(problem.clone())
            }
            Some(problem) => Trouble::Somebodys(problem.clone()),
        }
    }

    /// How many went well, or the trouble that makes the worker pause. One object that the store
    /// fails on, and it alone, must not make everybody pause: the store is asked for something
    /// else.
    pub(super) async fn answer(self, app: &App) -> Result<usize, Problem> {
        match self.trouble() {
            Trouble::None => Ok(self.done),
            Trouble::Everybodys(problem) => Err(problem),
            Trouble::Somebodys(problem) => match store_answers(app).await {
                Ok(()) => Ok(self.done),
                Err(_) => Err(problem),
            },
        }
    }
}

fn is_stores(problem: &Problem) -> bool {
    matches!(problem.code, Code::StorageUnavailable | Code::StorageFull)
}

/// Asks the store for a little that is there whatever ails an object: a listing of one, in each
/// bucket.
pub async fn store_answers(app: &App) -> Result<(), StoreError> {
    for bucket in [Bucket::Staging, Bucket::Files] {
        app.store.list(bucket, "", None, 1).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trouble_of_few_may_be_theirs_and_that_of_three_in_a_row_is_everybodys() {
        let away = || Problem::new(Code::StorageUnavailable, "away");
        let full = || Problem::new(Code::StorageFull, "full");
        let database = || Problem::new(Code::DatabaseUnavailable, "away");
        let all = Trouble::Everybodys;
        let some = Trouble::Somebodys;
        for (pass, trouble) in [
            (vec![], Trouble::None),
            (vec![None], Trouble::None),
            (vec![Some(away())], some(away())),
            (vec![Some(full())], some(full())),
            (vec![Some(database())], all(database())),
            (vec![None, Some(away())], some(away())),
            (vec![Some(away()), None], Trouble::None),
            (vec![Some(away()), Some(away())], some(away())),
            (vec![Some(away()), Some(away()), Some(away())], all(away())),
            (
                vec![Some(away()), Some(away()), None, Some(away())],
                some(away()),
            ),
        ] {
            let mut tally = Tally::default();
            for one in pass.clone() {
                match one {
                    None => tally.well(true),
                    Some(problem) => tally.ill(problem),
                }
            }
            assert_eq!(tally.trouble(), trouble, "{pass:?}");
        }
    }
}
