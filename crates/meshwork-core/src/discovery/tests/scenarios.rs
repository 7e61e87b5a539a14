//! What happens in one situation each.

use super::*;

#[test]
fn it_starts_by_announcing_its_own_and_asking_for_the_others() {
    let mut side = Side::new();
    let asks = side.local("a", profile(&["x"], 1));
    assert_eq!(asks, [Ask::Look], "nothing goes out before it starts");
    let asks = side.handle(Input::Started);
    let [Ask::Announce { peer, said, answers: None }, Ask::Store { said: stored, .. }, rest @ ..] = &asks[..] else {
        panic!("{asks:?}");
    };
    assert_eq!((peer.as_str(), said.incarnation, said), ("a", 1_000_000, stored));
    let run = 1;
    let timers = [
        Ask::Query,
        Ask::Sleep { timer: Timer::Discovery { run }, us: config().discovery_us },
        Ask::Sleep { timer: Timer::Heartbeat { run }, us: config().heartbeat_us },
    ];
    assert_eq!(rest, timers);
    assert_eq!(side.handle(Input::Started), [], "it runs already");
}

#[test]
fn a_change_is_announced_and_stored_and_an_update_that_changes_nothing_is_not() {
    let mut side = Side::started();
    let first = words(&side.local("a", profile(&["x"], 1)));
    assert_eq!(side.local("a", profile(&["x"], 1)), []);
    let asks = side.local("a", profile(&["x", "y"], 1));
    assert!(matches!(&asks[..], [Ask::Announce { .. }, Ask::Store { .. }, Ask::Look]), "{asks:?}");
    assert!(words(&asks)[0].2.order() > first[0].2.order());
    assert_eq!(side.capable(&["x", "y"]), ["a"]);
    assert_eq!(side.capable(&["x", "z"]), [""; 0]);
}

#[test]
fn a_query_is_answered_at_once_for_every_local_peer() {
    let mut side = Side::started();
    let _ = side.local("a", profile(&[], 1));
    let _ = side.local("b", profile(&[], 2));
    let _ = side.hears("elsewhere", 1, 1, 3);
    let asks = side.handle(Input::Queried { side: "other".to_owned() });
    let answer = |ask: &Ask<u32>| matches!(ask, Ask::Announce { answers: Some(to), .. } if to == "other");
    assert!(asks.len() == 2 && asks.iter().all(answer), "{asks:?}");
}

#[test]
fn late_and_repeated_words_change_nothing_and_are_no_sign_of_life() {
    let mut side = Side::started();
    let _ = side.hears("p", 7, 100, 1);
    side.ms = 6_000;
    assert!(side.is_stale("p"));
    for (incarnation, stamp) in [(7, 100), (7, 99), (6, 1_000_000)] {
        assert_eq!(side.hears("p", incarnation, stamp, 2), []);
    }
    assert_eq!((side.rest("p"), side.is_stale("p")), (Some(1), true));
    assert_eq!(side.machine.statistics().outdated, 3);
    assert_eq!(side.hears("p", 8, 5, 3), [Ask::Look], "a later life is believed, whatever its clock says");
    assert_eq!((side.rest("p"), side.is_stale("p")), (Some(3), false));
    assert_eq!(side.machine.statistics().announcements_received, 5);
}

#[test]
fn a_silent_peer_is_stale_and_keeps_its_record_and_comes_back() {
    let mut side = Side::started();
    let _ = side.hears("p", 1, 1, 1);
    side.ms = 5_000;
    assert!(!side.is_stale("p"), "it may be silent for so long");
    assert!(side.machine.is_alive("p", 5_000 * MS, side.now().us));
    assert!(!side.machine.is_alive("p", 4_999 * MS, side.now().us));
    side.ms = 5_001;
    assert!(side.is_stale("p") && side.capable(&["x"]).is_empty());
    assert_eq!(side.rest("p"), Some(1));
    let said = Said { incarnation: 1, stamp: 2, profile: profile(&["x"], 1) };
    let _ = side.handle(Input::Heard { peer: "p".to_owned(), how: Heard::Heartbeat, said });
    assert!(!side.is_stale("p"));
    assert_eq!(side.capable(&["x"]), ["p"]);
}

#[test]
fn a_peer_that_says_good_bye_is_gone_and_not_stale_and_says_no_more() {
    let mut side = Side::started();
    let first = words(&side.local("a", profile(&["x"], 1)))[0].2.incarnation;
    let asks = side.local("a", Profile { standing: Standing::Gone, ..profile(&["x"], 2) });
    assert!(matches!(&asks[..], [Ask::Announce { .. }, Ask::Store { .. }, Ask::Look]), "{asks:?}");
    side.ms = 20_000;
    assert!(!side.is_stale("a") && !side.machine.is_alive("a", u64::MAX, side.now().us));
    assert!(side.capable(&["x"]).is_empty());
    let asks = side.handle(Input::Fired(Timer::Heartbeat { run: 1 }));
    assert_eq!(words(&asks), []);
    // It comes again: another life, although the clock has not gone on.
    side.ms = 0;
    assert_eq!(words(&side.local("a", profile(&["x"], 3)))[0].2.incarnation, first + 1);
}

#[test]
fn timers_of_an_earlier_run_are_recognised() {
    let mut side = Side::started();
    let _ = side.local("a", profile(&[], 1));
    let _ = side.handle(Input::Stopped);
    for timer in [Timer::Heartbeat { run: 1 }, Timer::Discovery { run: 1 }] {
        assert_eq!(side.handle(Input::Fired(timer)), [], "it does not run");
    }
    let _ = side.handle(Input::Started);
    for timer in [Timer::Heartbeat { run: 1 }, Timer::Discovery { run: 1 }] {
        assert_eq!(side.handle(Input::Fired(timer)), [], "they are of the first run");
    }
    let asks = side.handle(Input::Fired(Timer::Heartbeat { run: 2 }));
    assert!(matches!(&asks[..], [Ask::Heartbeat { .. }, Ask::Sleep { us: 1_000_000, .. }]), "{asks:?}");
    let asks = side.handle(Input::Fired(Timer::Discovery { run: 2 }));
    assert!(matches!(&asks[..], [Ask::Query, Ask::Sleep { us: 30_000_000, .. }]), "{asks:?}");
}

#[test]
fn what_was_stored_is_known_and_stale_until_it_is_heard() {
    let mut side = Side::new();
    let said = Said { incarnation: 4, stamp: 9, profile: profile(&["x"], 1) };
    let _ = side.handle(Input::Recalled { peer: "p".to_owned(), said: said.clone() });
    assert!(side.is_stale("p") && !side.machine.is_alive("p", u64::MAX, side.now().us));
    let older = Said { stamp: 8, ..said.clone() };
    assert_eq!(side.handle(Input::Recalled { peer: "p".to_owned(), said: older.clone() }), []);
    let how = Heard::Heartbeat;
    let _ = side.handle(Input::Heard { peer: "p".to_owned(), how, said: older });
    assert!(side.is_stale("p"), "a word from before what was stored");
    let _ = side.handle(Input::Heard { peer: "p".to_owned(), how, said });
    assert!(!side.is_stale("p"), "the very word that was stored");
}

#[test]
fn a_peer_outlives_what_is_known_of_its_last_life_although_the_clock_was_set_back() {
    let mut side = Side::started();
    let said = Said { incarnation: 9_000_000, stamp: 9_000_000, profile: profile(&[], 1) };
    let _ = side.handle(Input::Recalled { peer: "a".to_owned(), said });
    assert_eq!(words(&side.local("a", profile(&[], 2)))[0].2.incarnation, 9_000_001);
    // It hears of another life only after it has begun: the next word goes beyond it, not at once.
    assert_eq!(side.hears("a", 9_500_000, 1, 3), []);
    assert_eq!((side.rest("a"), side.machine.statistics().contested), (Some(2), 1));
    let asks = side.handle(Input::Fired(Timer::Heartbeat { run: 1 }));
    assert_eq!(words(&asks)[0].2.incarnation, 9_500_001);
}

#[test]
fn answers_are_counted_once_a_peer_and_query() {
    let mut side = Side::started();
    side.ms = 3;
    let answer = |stamp| Input::Heard {
        peer: "p".to_owned(),
        how: Heard::Announcement { answers_us: true },
        said: Said { incarnation: 1, stamp, profile: profile(&[], 1) },
    };
    let _ = side.handle(answer(1));
    side.ms = 8;
    let _ = side.handle(answer(2));
    let _ = side.hears("q", 1, 1, 1);
    let counted = side.machine.statistics();
    assert_eq!((counted.answers, counted.answer_us), (1, 3_000));
    let _ = side.handle(Input::Fired(Timer::Discovery { run: 1 }));
    side.ms = 9;
    let _ = side.handle(answer(3));
    let counted = side.machine.statistics();
    assert_eq!((counted.answers, counted.answer_us, counted.announcements_received), (2, 4_000, 4));
}

#[test]
fn a_flood_of_names_fills_nothing() {
    let mut side = Side::started();
    for number in 0..150 {
        let _ = side.hears(&format!("p{number}"), 1, 1, 1);
    }
    assert_eq!(side.machine.peers().count(), 100);
    assert_eq!(side.machine.statistics().refused, 50);
    assert_eq!(side.hears("p0", 1, 2, 1), [Ask::Look], "those who are known are heard");
}

#[test]
fn another_swarm_has_other_peers() {
    let mut side = Side::started();
    let _ = side.local("a", profile(&[], 1));
    let _ = side.hears("p", 1, 1, 1);
    let _ = side.handle(Input::Elsewhere);
    assert_eq!(side.machine.peers().map(|(id, _)| id).collect::<Vec<_>>(), ["a"]);
}
