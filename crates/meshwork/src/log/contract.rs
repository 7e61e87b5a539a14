//! What every [`Log`] must do, as scenarios that each implementation runs in its own tests.
//!
//! It asserts and therefore panics; it is public (and hidden) so that a log outside this crate can run it too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;

use super::{BATCH_LIMIT, Log, LogError, Stored};

/// How long anything may take before a scenario fails.
const DEADLINE: Duration = Duration::from_secs(20);

/// Where one log lives, so that it can be opened again.
pub struct Place {
    open: Box<dyn Fn() -> Arc<dyn Log> + Send + Sync>,
    durable: bool,
}

impl Place {
    /// A log that outlives its handle: `open` gives the same log again after it was closed and dropped.
    ///
    /// ```
    /// use meshwork::log::contract::Place;
    /// use meshwork::log::{Log, SqliteLog};
    /// use std::sync::Arc;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("swarm.db");
    /// let open = move || Arc::new(SqliteLog::open(&path).expect("it can be opened")) as Arc<dyn Log>;
    /// let _place = Place::durable(open);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn durable(open: impl Fn() -> Arc<dyn Log> + Send + Sync + 'static) -> Self {
        Self { open: Box::new(open), durable: true }
    }

    /// A log that ends with its handle.
    ///
    /// ```
    /// use meshwork::log::contract::Place;
    /// use meshwork::log::{Log, MemoryLog};
    /// use std::sync::Arc;
    ///
    /// let log = Arc::new(MemoryLog::new());
    /// let _place = Place::volatile(move || Arc::clone(&log) as Arc<dyn Log>);
    /// ```
    pub fn volatile(open: impl Fn() -> Arc<dyn Log> + Send + Sync + 'static) -> Self {
        Self { open: Box::new(open), durable: false }
    }

    fn open(&self) -> Arc<dyn Log> {
        (self.open)()
    }
}

/// Runs every scenario, each at a place of its own.
///
/// # Panics
/// When the log does not do what the trait says.
pub async fn suite(place: impl Fn() -> Place) {
    an_empty_log(&place()).await;
    batches_keep_their_order(&place()).await;
    a_tail_starts_in_the_middle(&place()).await;
    a_tail_sees_later_appends(&place()).await;
    several_tails_see_the_same(&place()).await;
    a_slow_tail_catches_up(&place()).await;
    concurrent_appends_get_a_total_order(&place()).await;
    batches_are_read_by_position(&place()).await;
    calls_in_a_row_keep_their_order(&place()).await;
    snapshots_are_kept(&place()).await;
    too_large_is_refused(&place()).await;
    a_closed_log_refuses(&place()).await;
    let durable = place();
    if durable.durable {
        everything_is_there_after_opening_again(&durable).await;
    }
}

fn batch(number: usize) -> Bytes {
    Bytes::from(format!("batch {number}"))
}

async fn append(log: &Arc<dyn Log>, numbers: std::ops::Range<usize>) {
    for number in numbers {
        within(log.append(batch(number))).await.expect("an append to a healthy log");
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("the log answers before the deadline")
}

async fn take(tail: &mut BoxStream<'static, Result<Stored, LogError>>, count: usize) -> Vec<Stored> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        let item = within(tail.next()).await.expect("a tail has no end");
        taken.push(item.expect("a batch of a healthy log"));
    }
    taken
}

fn expected(range: std::ops::RangeInclusive<usize>) -> Vec<Stored> {
    range.map(|number| Stored { seq: number as u64, bytes: batch(number) }).collect()
}

async fn an_empty_log(place: &Place) {
    let log = place.open();
    assert_eq!(within(log.last()).await, Ok(0));
    assert_eq!(within(log.load_snapshot()).await, Ok(None));
    for seq in [0, 1] {
        let missing = LogError::Missing { seq, last: 0 };
        assert_eq!(within(log.read(seq)).await, Err(missing));
    }
}

async fn batches_keep_their_order(place: &Place) {
    let log = place.open();
    append(&log, 1..21).await;
    assert_eq!(within(log.last()).await, Ok(20));
    assert_eq!(take(&mut log.tail(0), 20).await, expected(1..=20));
    assert_eq!(take(&mut log.tail(1), 20).await, expected(1..=20));
}

async fn a_tail_starts_in_the_middle(place: &Place) {
    let log = place.open();
    append(&log, 1..11).await;
    assert_eq!(take(&mut log.tail(7), 4).await, expected(7..=10));
    // A tail may also wait for a position that is still to come.
    let mut later = log.tail(12);
    append(&log, 11..13).await;
    assert_eq!(take(&mut later, 1).await, expected(12..=12));
}

async fn a_tail_sees_later_appends(place: &Place) {
    let log = place.open();
    let mut tail = log.tail(1);
    for number in 1..=5 {
        append(&log, number..number + 1).await;
        assert_eq!(take(&mut tail, 1).await, expected(number..=number));
    }
    let waiting = tokio::spawn(async move { take(&mut tail, 1).await });
    append(&log, 6..7).await;
    assert_eq!(within(waiting).await.expect("the task ends"), expected(6..=6));
}

async fn several_tails_see_the_same(place: &Place) {
    let log = place.open();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut tail = log.tail(1);
            tokio::spawn(async move { take(&mut tail, 50).await })
        })
        .collect();
    append(&log, 1..51).await;
    for reader in readers {
        assert_eq!(within(reader).await.expect("the task ends"), expected(1..=50));
    }
}

/// Large batches while nobody reads: the tail is far behind what a log keeps at hand.
async fn a_slow_tail_catches_up(place: &Place) {
    let log = place.open();
    let mut tail = log.tail(1);
    let large = Bytes::from(vec![7; 512 * 1024]);
    append(&log, 1..2).await;
    let appends = (0..40).map(|_| log.append(large.clone()));
    for answer in within(join_all(appends)).await {
        answer.expect("an append to a healthy log");
    }
    append(&log, 42..43).await;
    let all = take(&mut tail, 42).await;
    assert!(all.iter().map(|stored| stored.seq).eq(1..=42));
    assert!(all[1..41].iter().all(|stored| stored.bytes == large));
    assert_eq!(all[41].bytes, batch(42));
}

async fn concurrent_appends_get_a_total_order(place: &Place) {
    let log = place.open();
    let authors: Vec<_> = (0..8)
        .map(|author| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { append(&log, author * 100..author * 100 + 25).await })
        })
        .collect();
    for author in authors {
        within(author).await.expect("the task ends");
    }
    let first = take(&mut log.tail(1), 200).await;
    assert_eq!(first, take(&mut log.tail(1), 200).await);
    assert!(first.iter().map(|stored| stored.seq).eq(1..=200));
    let different: BTreeSet<_> = first.iter().map(|stored| stored.bytes.clone()).collect();
    assert_eq!(different.len(), 200);
    for author in 0..8 {
        let own = (author * 100..author * 100 + 25).map(batch);
        let seen = first.iter().map(|stored| &stored.bytes);
        let places: Vec<_> = own.map(|bytes| seen.clone().position(|other| *other == bytes)).collect();
        assert!(places.is_sorted(), "an author's batches changed their order");
    }
}

async fn batches_are_read_by_position(place: &Place) {
    let log = place.open();
    append(&log, 1..11).await;
    for number in [10, 1, 5] {
        assert_eq!(within(log.read(number as u64)).await, Ok(batch(number)));
    }
    let missing = LogError::Missing { seq: 11, last: 10 };
    assert_eq!(within(log.read(11)).await, Err(missing));
    within(log.append(Bytes::new())).await.expect("an empty batch is a batch");
    assert_eq!(within(log.read(11)).await, Ok(Bytes::new()));
}

/// The futures are kept and awaited backwards: the order is that of the calls.
async fn calls_in_a_row_keep_their_order(place: &Place) {
    let log = place.open();
    let mut answers: Vec<_> = (1..=30).map(|number| log.append(batch(number))).collect();
    while let Some(answer) = answers.pop() {
        within(answer).await.expect("an append to a healthy log");
    }
    assert_eq!(take(&mut log.tail(1), 30).await, expected(1..=30));
}

async fn snapshots_are_kept(place: &Place) {
    let log = place.open();
    append(&log, 1..6).await;
    let ahead = LogError::SnapshotAhead { seq: 6, last: 5 };
    assert_eq!(within(log.save_snapshot(6, batch(0))).await, Err(ahead));
    assert_eq!(within(log.load_snapshot()).await, Ok(None));
    for seq in [2, 4, 5, 3] {
        let bytes = Bytes::from(format!("state at {seq}"));
        within(log.save_snapshot(seq, bytes)).await.expect("a snapshot is kept");
    }
    let newest = Some((5, Bytes::from("state at 5")));
    assert_eq!(within(log.load_snapshot()).await, Ok(newest));
    within(log.save_snapshot(5, batch(9))).await.expect("a snapshot may be replaced");
    assert_eq!(within(log.load_snapshot()).await, Ok(Some((5, batch(9)))));
}

async fn too_large_is_refused(place: &Place) {
    let log = place.open();
    // Zeroed memory that nobody touches costs address space only.
    let huge = Bytes::from(vec![0; BATCH_LIMIT + 1]);
    let refusal = LogError::TooLarge { found: BATCH_LIMIT + 1, limit: BATCH_LIMIT };
    assert_eq!(within(log.append(huge)).await, Err(refusal));
    append(&log, 1..2).await;
    assert_eq!(within(log.last()).await, Ok(1));
}

async fn a_closed_log_refuses(place: &Place) {
    let log = place.open();
    let mut tail = log.tail(1);
    let last = log.append(batch(1));
    within(log.close()).await.expect("a healthy log closes");
    within(last).await.expect("what was handed over before is stored");
    within(log.close()).await.expect("closing twice is no error");
    assert_eq!(within(log.append(batch(2))).await, Err(LogError::Closed));
    assert_eq!(within(log.last()).await, Err(LogError::Closed));
    assert_eq!(within(log.read(1)).await, Err(LogError::Closed));
    assert_eq!(within(log.load_snapshot()).await, Err(LogError::Closed));
    // A tail may still have what it was about to deliver; then it says why it ends.
    let mut items = Vec::new();
    while let Some(item) = within(tail.next()).await {
        items.push(item);
    }
    assert_eq!(items.last(), Some(&Err(LogError::Closed)));
}

async fn everything_is_there_after_opening_again(place: &Place) {
    let log = place.open();
    append(&log, 1..11).await;
    within(log.save_snapshot(8, batch(80))).await.expect("a snapshot is kept");
    within(log.close()).await.expect("a healthy log closes");
    drop(log);
    let log = place.open();
    assert_eq!(within(log.last()).await, Ok(10));
    assert_eq!(within(log.load_snapshot()).await, Ok(Some((8, batch(80)))));
    append(&log, 11..12).await;
    assert_eq!(take(&mut log.tail(1), 11).await, expected(1..=11));
}
