//! One sentence of the protocol each.

use super::super::*;

const A: Peer = Peer(0);
const B: Peer = Peer(1);
const C: Peer = Peer(2);
const CALL: DetectionNo = DetectionNo(7);

/// A detector and what it asked for last.
struct Stage {
    detector: Detector,
    asked: Vec<Effect>,
}

impl Stage {
    fn of(local: &[Peer], remote: &[Peer], retries: u32) -> Self {
        let config = Config { retry_ms: 50, retries, checkpoints: true };
        let mut stage = Self { detector: Detector::new(config), asked: Vec::new() };
        stage.tell(Input::Initialize { local: local.to_vec(), remote: remote.to_vec(), incarnation: 1 });
        stage
    }

    fn three() -> Self {
        Self::of(&[A, B, C], &[], 40)
    }

    fn tell(&mut self, input: Input) {
        self.asked = self.detector.handle(input);
        self.detector.check_invariants();
    }

    fn send(&mut self, from: Peer, to: Peer, message: u64) {
        self.tell(Input::Published { sender: from, message: Some((Message(message), Some(to))) });
    }

    fn acknowledge(&mut self, sender: Peer, message: u64) {
        self.tell(Input::Acknowledged { sender, message: Some(Message(message)) });
    }

    fn start(&mut self, peer: Peer, run: u64) {
        self.tell(Input::Started { peer, run: Run(run) });
    }

    fn finish(&mut self, peer: Peer, run: u64) {
        self.tell(Input::Finished { peer, run: Run(run) });
    }

    fn detect(&mut self) {
        self.tell(Input::Detect { detection: CALL, timeout_ms: 2_000 });
    }

    fn probes(&self) -> Vec<(ProbeNo, Peer)> {
        let probes = self.asked.iter().filter_map(|effect| match effect {
            Effect::Probe { probe, to, .. } => Some((*probe, *to)),
            _ => None,
        });
        probes.collect()
    }

    /// Answers these probes as this side sees its peers; what follows from all of it.
    fn answer(&mut self, probes: &[(ProbeNo, Peer)]) {
        let mut asked = Vec::new();
        for (probe, peer) in probes {
            let report = self.detector.report(*peer).unwrap();
            self.tell(Input::Answered { probe: *probe, peer: *peer, report });
            asked.append(&mut self.asked);
        }
        self.asked = asked;
    }

    fn answer_for(&mut self, (probe, peer): (ProbeNo, Peer), report: Report) {
        self.tell(Input::Answered { probe, peer, report });
    }

    fn retry(&self) -> Timer {
        let mut timers = self.asked.iter().filter_map(|effect| match effect {
            Effect::Sleep { timer: timer @ Timer::Retry { .. }, ms } => {
                assert_eq!(*ms, 50);
                Some(*timer)
            }
            _ => None,
        });
        timers.next_back().unwrap()
    }

    fn timeout(&self) -> Option<Timer> {
        self.asked.iter().find_map(|effect| match effect {
            Effect::Sleep { timer: timer @ Timer::Timeout { .. }, ms: 2_000 } => Some(*timer),
            _ => None,
        })
    }

    fn verdict(&self) -> Option<&Verdict> {
        self.asked.iter().find_map(|effect| match effect {
            Effect::Done { verdict, .. } => Some(verdict),
            _ => None,
        })
    }

    fn deficits(&self) -> [u64; 3] {
        [A, B, C].map(|peer| self.detector.deficit(peer))
    }
}

#[test]
fn the_engaging_message_is_closed_last_and_others_when_they_are_handled() {
    let mut stage = Stage::three();
    stage.send(A, B, 1);
    stage.send(C, B, 2);
    stage.send(B, A, 3);
    stage.acknowledge(A, 1);
    assert_eq!(stage.deficits(), [1, 1, 1], "b was engaged by it and is not done");
    stage.acknowledge(C, 2);
    assert_eq!(stage.deficits(), [1, 1, 0], "any other message closes when it is handled");
    stage.acknowledge(B, 3);
    assert_eq!(stage.deficits(), [0, 0, 0], "with the last message of b, what engaged it closes");
}

#[test]
fn a_chain_closes_from_its_end() {
    let mut stage = Stage::three();
    stage.send(A, B, 1);
    stage.send(B, C, 2);
    stage.acknowledge(A, 1);
    stage.start(C, 9);
    stage.acknowledge(B, 2);
    assert_eq!(stage.deficits(), [1, 1, 0]);
    stage.finish(C, 9);
    assert_eq!(stage.deficits(), [0, 0, 0]);
}

#[test]
fn being_told_twice_does_no_harm() {
    let mut stage = Stage::three();
    for _ in 0..2 {
        stage.send(A, B, 1);
        stage.send(A, B, 2);
    }
    assert_eq!(stage.detector.report(A).unwrap().sent, 2);
    for _ in 0..3 {
        stage.acknowledge(A, 1);
    }
    assert_eq!(stage.deficits()[0], 2, "b was engaged by the first and has the second to do");
    stage.acknowledge(B, 2);
    assert_eq!(stage.deficits()[0], 2, "nobody else acknowledges a's message");
    stage.acknowledge(A, 2);
    assert_eq!(stage.deficits()[0], 0);
}

#[test]
fn a_wave_begins_when_the_root_is_free_and_one_is_enough() {
    let mut stage = Stage::three();
    stage.start(A, 1);
    stage.detect();
    assert_eq!((stage.probes(), stage.timeout()), (vec![], None), "while a handler runs nothing is counted");
    stage.finish(A, 1);
    let probes = stage.probes();
    assert_eq!(probes.iter().map(|(_, to)| *to).collect::<Vec<_>>(), [A, B, C]);
    assert!(stage.timeout().is_some(), "now the quiet time begins");
    stage.answer(&probes);
    assert_eq!(stage.verdict(), Some(&Verdict::Completed));
    assert!(matches!(&stage.asked[0], Effect::Record(wave) if wave.agreed && wave.reports.len() == 3));
}

#[test]
fn a_start_in_the_middle_of_a_wave_makes_it_void() {
    let mut stage = Stage::three();
    stage.detect();
    let old = stage.probes();
    stage.answer(&old[..2]);
    stage.start(A, 1);
    stage.finish(A, 1);
    let new = stage.probes();
    assert_eq!(new.len(), 3, "everybody is asked again");
    stage.answer(&old);
    assert_eq!(stage.verdict(), None, "late answers are nothing");
    stage.answer(&new);
    assert_eq!(stage.verdict(), Some(&Verdict::Completed));
}

#[test]
fn a_change_of_membership_makes_a_wave_void_and_the_next_comes_after_the_interval() {
    let mut stage = Stage::three();
    stage.detect();
    let old = stage.probes();
    stage.tell(Input::Lost(C));
    let again = stage.retry();
    stage.answer(&old);
    assert_eq!(stage.verdict(), None);
    stage.tell(Input::Fired(again));
    let new = stage.probes();
    stage.answer(&new);
    assert_eq!(stage.verdict(), Some(&Verdict::Completed), "a lost peer has nothing to do");
}

#[test]
fn where_another_side_answers_two_waves_have_to_be_equal() {
    let mut stage = Stage::of(&[A], &[B], 2);
    let free = Report { idle: true, incarnation: 1, ..Report::default() };
    stage.detect();
    let first = stage.probes();
    stage.answer(&first[..1]);
    stage.answer_for(first[1], free);
    assert_eq!(stage.verdict(), None);
    let second = stage.probes();
    assert_eq!(second.len(), 2, "the second wave follows at once");
    stage.answer(&second[..1]);
    stage.answer_for(second[1], Report { sent: 1, ..free });
    assert_eq!(stage.verdict(), None, "it has sent something in between");
    let again = stage.retry();
    stage.tell(Input::Fired(again));
    let third = stage.probes();
    stage.answer(&third[..1]);
    stage.answer_for(third[1], Report { sent: 1, incarnation: 2, ..free });
    assert_eq!(stage.verdict(), None, "it is another peer by the same name");
    let again = stage.retry();
    stage.tell(Input::Fired(again));
    let fourth = stage.probes();
    stage.answer(&fourth[..1]);
    stage.answer_for(fourth[1], Report { sent: 1, incarnation: 2, ..free });
    assert_eq!(stage.verdict(), Some(&Verdict::Completed));
}

#[test]
fn counts_alone_need_two_waves() {
    let mut stage = Stage::three();
    stage.tell(Input::Published { sender: A, message: None });
    stage.detect();
    assert_eq!(stage.probes(), []);
    stage.tell(Input::Acknowledged { sender: A, message: None });
    let first = stage.probes();
    stage.answer(&first);
    assert_eq!(stage.verdict(), None);
    let second = stage.probes();
    stage.answer(&second);
    assert_eq!(stage.verdict(), Some(&Verdict::Completed));
}

#[test]
fn an_acknowledgement_that_is_told_before_its_message_cancels_it() {
    let mut stage = Stage::three();
    stage.tell(Input::Acknowledged { sender: A, message: None });
    assert!(!stage.detector.is_completed(A));
    stage.tell(Input::Published { sender: A, message: None });
    assert!(stage.detector.is_completed(A));
}

#[test]
fn acknowledgements_of_what_nobody_sent_are_named_with_their_peer() {
    let mut stage = Stage::three();
    stage.tell(Input::Published { sender: A, message: None });
    for _ in 0..3 {
        stage.tell(Input::Acknowledged { sender: A, message: None });
    }
    stage.detect();
    let timeout = stage.timeout().unwrap();
    stage.tell(Input::Fired(timeout));
    let held = vec![Held::OverAcknowledged { peer: A, messages: 2 }];
    assert_eq!(stage.verdict(), Some(&Verdict::TimedOut { held }));
    for _ in 0..2 {
        stage.tell(Input::Published { sender: A, message: None });
    }
    assert_eq!(stage.detector.held(), [], "they were told late");
}

#[test]
fn what_keeps_a_peer_of_another_side_from_being_free_is_named() {
    let report = |surplus| Report { incarnation: 1, surplus, ..Report::default() };
    let over = Held::OverAcknowledged { peer: B, messages: 2 };
    for (report, expected) in [(report(2), over), (report(0), Held::NotIdle { peer: B })] {
        let mut stage = Stage::of(&[A], &[B], 0);
        stage.detect();
        let probes = stage.probes();
        stage.answer(&probes[..1]);
        stage.answer_for(probes[1], report);
        assert_eq!(stage.verdict(), Some(&Verdict::Exhausted { held: vec![expected] }));
    }
}

#[test]
fn missing_answers_are_asked_for_again_until_the_retries_are_used_up() {
    let mut stage = Stage::of(&[A], &[B], 2);
    stage.detect();
    let (first, mut again) = (stage.probes(), stage.retry());
    stage.answer(&first[..1]);
    for _ in 0..2 {
        // A timer of another wait is nothing.
        stage.tell(Input::Fired(Timer::Retry { detection: CALL, token: 1_000 }));
        assert_eq!(stage.asked, []);
        stage.tell(Input::Fired(again));
        assert_eq!(stage.probes().iter().map(|(_, to)| *to).collect::<Vec<_>>(), [B], "only who is missing");
        again = stage.retry();
    }
    stage.tell(Input::Fired(again));
    let held = vec![Held::NoAnswer { peer: B }];
    assert_eq!(stage.verdict(), Some(&Verdict::Exhausted { held }));
    assert_eq!(
        stage.detector.statistics(),
        Statistics { probes_sent: 4, acknowledgements_received: 1, attempts: 1, successes: 0, timeouts: 1 }
    );
}

#[test]
fn a_side_where_work_runs_is_asked_for_as_long_as_it_runs() {
    let mut stage = Stage::of(&[A], &[B], 2);
    stage.detect();
    let works = Report { running: 1, received: 1, incarnation: 1, ..Report::default() };
    for _ in 0..50 {
        let probes = stage.probes();
        stage.answer(&probes[..1]);
        stage.answer_for(probes[1], works);
        assert_eq!(stage.verdict(), None);
        let again = stage.retry();
        stage.tell(Input::Fired(again));
    }
}

#[test]
fn a_quiet_time_in_which_something_moved_is_waited_for_once_more() {
    let mut stage = Stage::three();
    stage.send(A, B, 1);
    stage.detect();
    let first = stage.timeout().unwrap();
    stage.send(A, B, 2);
    stage.tell(Input::Fired(first));
    assert_eq!(stage.verdict(), None);
    let second = stage.timeout().unwrap();
    stage.tell(Input::Fired(first));
    assert_eq!(stage.verdict(), None, "that one is over");
    stage.tell(Input::Fired(second));
    let held = vec![Held::Unacknowledged { peer: A, messages: 2 }, Held::Waiting { peer: B, messages: 2, lost: false }];
    assert_eq!(stage.verdict(), Some(&Verdict::TimedOut { held }));
    assert_eq!(stage.deficits()[0], 2, "a time-out changes nothing");
    stage.detect();
    stage.acknowledge(A, 1);
    stage.acknowledge(A, 2);
    let probes = stage.probes();
    stage.answer(&probes);
    assert_eq!(stage.verdict(), Some(&Verdict::Completed), "a later call may succeed");
}

#[test]
fn the_books_of_a_lost_peer_stay() {
    let mut stage = Stage::three();
    stage.start(B, 1);
    stage.send(B, C, 1);
    stage.send(A, B, 2);
    stage.tell(Input::Lost(B));
    assert_eq!(stage.deficits(), [1, 1, 0]);
    assert!(stage.detector.held().contains(&Held::Waiting { peer: B, messages: 1, lost: true }));
    stage.tell(Input::Back(B));
    stage.start(B, 2);
    stage.finish(B, 1);
    assert_eq!(stage.detector.report(B).unwrap().running, 1, "the end of a run of the former life is nothing");
    stage.finish(B, 2);
    stage.acknowledge(A, 2);
    stage.acknowledge(B, 1);
    assert_eq!(stage.deficits(), [0, 0, 0]);
    assert_eq!(stage.detector.report(B).unwrap().incarnation, 3);
}

#[test]
fn peers_that_stay_keep_their_books_and_others_are_not_waited_for() {
    let mut stage = Stage::three();
    stage.send(A, B, 1);
    stage.send(B, C, 2);
    stage.send(A, C, 3);
    stage.tell(Input::Initialize { local: vec![A, C], remote: vec![], incarnation: 2 });
    assert_eq!(stage.deficits(), [1, 0, 0], "a's message to c is on its way, the one to b is nobody's business");
    assert!(!stage.detector.is_completed(C), "c has two messages to do");
    stage.acknowledge(A, 3);
    assert!(!stage.detector.is_completed(C), "b's message to c is still to be handled");
    stage.acknowledge(B, 2);
    assert!(stage.detector.is_completed(C) && stage.detector.is_completed(A));
    assert_eq!(stage.detector.held(), []);
    stage.acknowledge(A, 1);
}

#[test]
fn a_reset_waits_for_calls_and_forgets_waves() {
    let mut stage = Stage::three();
    stage.detect();
    assert_eq!(stage.detector.reset(), Err(DetectionRuns { running: 1 }));
    let probes = stage.probes();
    stage.answer(&probes);
    assert_eq!(stage.detector.statistics().successes, 1);
    assert_eq!(stage.detector.reset(), Ok(()));
    assert_eq!(stage.detector.statistics(), Statistics::default());
    stage.detect();
    stage.tell(Input::Forget(CALL));
    assert_eq!(stage.detector.reset(), Ok(()), "whoever asked has gone away");
}

#[test]
fn the_unknown_changes_nothing() {
    let mut stage = Stage::three();
    let before = stage.detector.clone();
    let nobody = Peer(9);
    stage.send(nobody, A, 1);
    stage.acknowledge(nobody, 1);
    stage.acknowledge(A, 1);
    stage.start(nobody, 1);
    stage.finish(A, 1);
    stage.tell(Input::Lost(nobody));
    stage.tell(Input::Answered { probe: ProbeNo(1), peer: A, report: Report::default() });
    assert_eq!(stage.detector, before);
    assert_eq!((stage.detector.is_completed(nobody), stage.detector.deficit(nobody)), (false, 0));
}
