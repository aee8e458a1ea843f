//! The judge: every honest file of the corpus must be accepted as what it is, and no file
//! as anything else.
//!
//! `corpus-judge CORPUS TABLES` where TABLES is the folder with `kinds` and `exceptions`.
//! It exits with 1 when a file is judged wrongly and no exception names it.

mod corpus;
mod ours;
mod rivals;
mod sitting;

use std::path::PathBuf;
use std::process::ExitCode;

use corpus::Corpus;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(tables)) = (arguments.next(), arguments.next()) else {
        eprintln!("corpus-judge CORPUS TABLES");
        return ExitCode::from(2);
    };
    let corpus = match Corpus::read(&folder, &tables) {
        Ok(corpus) => corpus,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let wrong = sitting::sit(&corpus, &folder);
    rivals::compare(&corpus);
    if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
