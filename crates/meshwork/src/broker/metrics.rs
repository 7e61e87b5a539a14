//! What the broker counts about itself.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::message::PeerId;

/// Counts since the broker was made, and lengths of this moment.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{BrokerMetrics, Recipient};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// assert_eq!(broker.metrics(), BrokerMetrics::default());
/// broker.register("ben", Recipient::Mailbox).await?;
/// broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
/// assert_eq!((broker.metrics().sent, broker.metrics().queued["ben"]), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerMetrics {
    /// Messages accepted.
    pub sent: u64,
    /// Messages given to a handler (once, however often it was run) or read from a mailbox.
    pub delivered: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Messages dead-lettered.
    pub dead: u64,
    /// Further runs of handlers that had failed.
    pub redelivered: u64,
    /// Messages that wait with each registered peer, or are unread there; one that is being handled waits no more.
    pub queued: BTreeMap<PeerId, usize>,
    /// From accepted to handler started, 95th percentile over a sample of one message in eight,
    /// at most 12.5 % too high. Nothing before the first.
    pub latency_p95: Option<Duration>,
}

/// One clock for the broker. It never goes back: the time of day is read once.
pub(super) struct Clock {
    start: Instant,
    start_epoch_ms: u64,
}

impl Clock {
    pub(super) fn new() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_epoch_ms: epoch.as_millis() as u64 }
    }

    /// Nanoseconds since the broker was made.
    pub(super) fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// The same moment in milliseconds since the epoch.
    pub(super) fn epoch_ms(&self, ns: u64) -> u64 {
        self.start_epoch_ms + ns / 1_000_000
    }
}

/// What is counted for each message.
#[derive(Clone, Copy)]
pub(super) enum Count {
    Sent,
    Delivered,
    Acknowledged,
    Dead,
    Redelivered,
}

const COUNTS: usize = 5;

/// As many as threads usually share a broker; more threads share stripes.
const STRIPES: usize = 16;

/// A cache line of its own for each stripe, so that threads do not take it from each other.
#[repr(align(128))]
#[derive(Default)]
struct Stripe([AtomicU64; COUNTS]);

/// Counters that threads add to without meeting.
#[derive(Default)]
pub(super) struct Counters([Stripe; STRIPES]);

fn stripe_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    MINE.with(|mine| match mine.get() {
        Some(stripe) => stripe,
        None => {
            let stripe = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            mine.set(Some(stripe));
            stripe
        }
    })
}

impl Counters {
    pub(super) fn add(&self, count: Count, n: u64) {
        self.0[stripe_of_this_thread()].0[count as usize].fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn total(&self, count: Count) -> u64 {
        self.0.iter().map(|stripe| stripe.0[count as usize].load(Ordering::Relaxed)).sum()
    }
}

/// Eight buckets for each power of two.
const SUB_BITS: u32 = 3;
const BUCKETS: usize = ((64 - SUB_BITS as usize) + 1) << SUB_BITS;

/// A log-linear histogram of nanoseconds: its buckets are at most 12.5 % wide.
pub(super) struct Histogram([AtomicU64; BUCKETS]);

impl Histogram {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    pub(super) fn record(&self, ns: u64) {
        self.0[bucket(ns)].fetch_add(1, Ordering::Relaxed);
    }

    /// The upper end of the bucket in which that share of all records is reached.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let counts: Vec<u64> = self.0.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let wanted = (all as f64 * share).ceil() as u64;
        let mut seen = 0;
        counts.iter().enumerate().find_map(|(bucket, count)| {
            seen += count;
            (*count > 0 && seen >= wanted).then(|| Duration::from_nanos(upper_end(bucket)))
        })
    }
}

fn bucket(ns: u64) -> usize {
    let sub = 1 << SUB_BITS;
    if ns < sub {
        return ns as usize;
    }
    let shift = ns.ilog2() - SUB_BITS;
    ((shift as usize + 1) << SUB_BITS) + ((ns >> shift) - sub) as usize
}

fn upper_end(bucket: usize) -> u64 {
    let sub = 1_u64 << SUB_BITS;
    let (octave, step) = ((bucket as u64) >> SUB_BITS, bucket as u64 & (sub - 1));
    if octave == 0 {
        return step;
    }
    let width = 1_u64 << (octave - 1);
    ((sub + step) << (octave - 1)).saturating_add(width - 1)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_holds_its_value_and_is_narrow(ns: u64) {
            let end = upper_end(bucket(ns));
            prop_assert!(end >= ns);
            prop_assert!(end - ns <= ns / 8);
        }
    }

    #[test]
    fn a_quantile_is_the_end_of_its_bucket() {
        let histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.95), None);
        for ns in 1..=100_000 {
            histogram.record(ns);
        }
        let p95 = histogram.quantile(0.95).unwrap().as_nanos();
        assert!((95_000..107_000).contains(&p95), "{p95}");
    }

    #[test]
    fn counters_add_up_over_threads() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..100).for_each(|_| counters.add(Count::Sent, 1)));
            }
        });
        assert_eq!(counters.total(Count::Sent), 2_000);
        assert_eq!(counters.total(Count::Dead), 0);
    }
}
