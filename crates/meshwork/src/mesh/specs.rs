//! Texts and inputs of tasks stay in the log; this is where bodies find them.

use super::MeshError;
use crate::log::Log;
use crate::review::{Source, text_of};
use meshwork_core::{Batch, Op, Position, Returned, TaskSpec};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Encoded bytes of batches that are kept decoded. 64 MiB: the submissions of about a million small tasks.
const KEPT_BYTES: usize = 64 << 20;

/// Decoded batches that hold submissions, newest kept.
pub(super) struct Specs {
    log: Arc<dyn Log>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    batches: BTreeMap<u64, Arc<Batch>>,
    order: VecDeque<(u64, usize)>,
    bytes: usize,
}

/// A task's text.
#[derive(Clone)]
pub(super) enum SpecRef {
    /// Shared with the batch that it came in.
    Submitted { batch: Arc<Batch>, entry: usize, index: usize },
    /// Made for a review.
    Review(Arc<TaskSpec>),
}

impl SpecRef {
    pub(super) fn get(&self) -> &TaskSpec {
        match self {
            Self::Submitted { batch, entry, index } => match &batch.entries[*entry] {
                Op::Submit(submission) => &submission.tasks[*index],
                other => unreachable!("a task's text lies in a submission, found {other:?}"),
            },
            Self::Review(spec) => spec,
        }
    }

    /// Whether the task votes on another.
    pub(super) fn is_review(&self) -> bool {
        matches!(self, Self::Review(_))
    }
}

impl Specs {
    pub(super) fn new(log: Arc<dyn Log>) -> Self {
        Self { log, kept: Mutex::default() }
    }

    /// Keeps a batch that holds submissions.
    pub(super) fn keep(&self, seq: u64, batch: &Arc<Batch>, bytes: usize) {
        if !batch.entries.iter().any(|op| matches!(op, Op::Submit(_))) {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.batches.insert(seq, batch.clone()).is_some() {
            return;
        }
        kept.order.push_back((seq, bytes));
        kept.bytes += bytes;
        while kept.bytes > KEPT_BYTES
            && kept.order.len() > 1
            && let Some((oldest, bytes)) = kept.order.pop_front()
        {
            kept.batches.remove(&oldest);
            kept.bytes -= bytes;
        }
    }

    fn kept(&self, seq: u64) -> Option<Arc<Batch>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).batches.get(&seq).cloned()
    }

    async fn batch(&self, seq: u64) -> Result<Arc<Batch>, MeshError> {
        if let Some(batch) = self.kept(seq) {
            return Ok(batch);
        }
        let bytes = self.log.read(seq).await?;
        let batch = Arc::new(meshwork_core::decode_batch(&bytes)?);
        self.keep(seq, &batch, bytes.len());
        Ok(batch)
    }

    /// The text of a task, without waiting when it is kept.
    pub(super) fn try_get(&self, source: &Source) -> Option<SpecRef> {
        let Source::Submitted((position, index)) = source else { return None };
        let batch = self.kept(position.seq())?;
        Some(SpecRef::Submitted { batch, entry: position.index(), index: *index as usize })
    }

    /// The same, read back from the log where it must be.
    pub(super) async fn get(&self, source: &Source) -> Result<SpecRef, MeshError> {
        match source {
            Source::Submitted(at) => self.submitted(*at).await,
            Source::Review { id, attempt, task, returned } => {
                let task = self.submitted(*task).await?;
                let Some(returned) = self.returned(*returned).await? else {
                    unreachable!("a review was made by an accepted `Return`, which lies at {returned}");
                };
                Ok(SpecRef::Review(Arc::new(text_of(id, *attempt, task.get(), &returned))))
            }
        }
    }

    async fn submitted(&self, (position, index): (Position, u32)) -> Result<SpecRef, MeshError> {
        let batch = self.batch(position.seq()).await?;
        Ok(SpecRef::Submitted { batch, entry: position.index(), index: index as usize })
    }

    /// The `Return` that lies at a position.
    pub(super) async fn returned(&self, at: Position) -> Result<Option<Returned>, MeshError> {
        let bytes = self.log.read(at.seq()).await?;
        let batch = meshwork_core::decode_batch(&bytes)?;
        Ok(match batch.entries.into_iter().nth(at.index()) {
            Some(Op::Return(returned)) => Some(returned),
            _ => None,
        })
    }
}
