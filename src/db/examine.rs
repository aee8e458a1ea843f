//! What `putgate doctor` asks of a database, beside whoever serves it.

use sha2::{Digest, Sha256};

use super::open::{Source, options, schema};
use super::sql::{Conn, sql};
use super::time::Time;
use super::{DbError, Place, Settings, postgres};
use crate::domain::time::Timestamp;

/// A database that can be opened.
#[derive(Clone, Debug)]
pub struct Examined {
    /// What it is and where, without a password.
    pub name: String,
    /// The schema that is there; 0: none.
    pub schema: i64,
    /// The schema of this release, which runs on the next one too.
    pub wanted: i64,
    /// Whether a row of 64 KiB could be written (it was taken back), or why not; not tried on
    /// another schema.
    pub writes: Result<(), DbError>,
    /// A server's own clock, at the moment of the answer.
    pub clock: Option<Timestamp>,
}

/// Opens the database, looks at it, and leaves it as it was.
pub async fn examine(settings: &Settings) -> Result<Examined, DbError> {
    let (name, mut conn, clock) = match &settings.place {
        Place::Sqlite { path, synchronous } => {
            let name = format!("SQLite, {}", path.display());
            if !path.exists() {
                return Err(DbError::Refused(format!("{name}: there is no such file")));
            }
            let options = options(path, *synchronous).create_if_missing(false);
            let opened = Source::Sqlite(Box::new(options)).connect().await;
            let conn = opened.map_err(|why| DbError::Refused(format!("{name}: {why}")))?;
            (name, conn, None)
        }
        Place::Postgres { url } => {
            let options = postgres::options(url)?;
            let mut first = postgres::first(&options).await?;
            let time = Time::of_server();
            postgres::set_clock(&time, &mut first).await?;
            let name = format!(
                "PostgreSQL, {}:{}/{}",
                options.get_host(),
                options.get_port(),
                options.get_database().unwrap_or("the default database"),
            );
            (name, Conn::Postgres(Box::new(first)), Some(time.now()))
        }
    };
    let (found, wanted) = schema(&mut conn).await?;
    let writes = if (wanted..=wanted + 1).contains(&found) {
        write_and_take_back(&mut conn).await
    } else {
        Ok(())
    };
    conn.close().await;
    Ok(Examined {
        name,
        schema: found,
        wanted,
        writes,
        clock,
    })
}

/// How long the row is, in bytes: what fits into the last free page tells little.
pub(super) const ROW: usize = 64 * 1024;

/// A text of so many bytes that PostgreSQL does not pack into fewer pages.
pub(super) fn incompressible(bytes: usize) -> String {
    let blocks = (0_u64..).map(|n| hex::encode(Sha256::digest(n.to_le_bytes())));
    let mut text = String::with_capacity(bytes + 64);
    for block in blocks {
        if text.len() >= bytes {
            break;
        }
        text += &block;
    }
    text.truncate(bytes);
    text
}

/// Two transactions: what is rolled back, SQLite does not even write to the disk. The next
/// doctor, or one at the same time, finds no harm in a row that was not taken back.
async fn write_and_take_back(conn: &mut Conn) -> Result<(), DbError> {
    let row = sql(
        "INSERT INTO marks (name, value, updated_at) VALUES ('doctor', $1, 0)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    );
    conn.run(row.bind(incompressible(ROW))).await?;
    conn.run(sql("DELETE FROM marks WHERE name = 'doctor'"))
        .await?;
    Ok(())
}
