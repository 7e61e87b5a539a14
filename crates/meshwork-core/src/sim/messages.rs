//! Messages between peers, with deferred acknowledgement (completion.md, section 5): a message closes when its
//! handler has finished and everything that the handler sent is closed.

use super::faults::Fault;
use super::people::Whom;
use super::witness::Key;
use super::world::{Event, Process, World, say};
use crate::node::Input;
use crate::{Op, Submission};
use std::collections::BTreeMap;

/// A message travels up to this long, in virtual ms.
const TRAVEL_MS: u64 = 50;
/// A delayed one up to this long.
const LATE_MS: u64 = 3_000;
/// A handler runs up to this long.
const HANDLER_MS: u64 = 200;
/// Messages lie at most this far from their task.
const HOPS_MAX: u8 = 3;
/// Children that handlers submit, a task at most.
const BY_HANDLERS_MAX: u32 = 3;

/// All messages and the attempts that they belong to.
#[derive(Default)]
pub(super) struct Post {
    mail: BTreeMap<Key, Mail>,
    letters: BTreeMap<u64, Letter>,
    sent: u64,
}

/// The messages of one attempt.
struct Mail {
    sender: Process,
    /// Messages that its body sent and that are not closed.
    open: u32,
    /// Its body has ended.
    passive: bool,
    /// It was lost or cancelled: its messages hold nothing.
    dropped: bool,
    by_handlers: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Travels,
    Handled,
    /// Its handler has finished; messages below it are open.
    Finished,
}

/// One message.
struct Letter {
    key: Key,
    parent: Option<u64>,
    hops: u8,
    open: u32,
    state: State,
}

impl World<'_> {
    /// Messages that are on their way for this attempt and count.
    pub(super) fn open_messages(&self, key: Key) -> u32 {
        self.post.mail.get(&key).filter(|mail| !mail.dropped).map_or(0, |mail| mail.open)
    }

    /// A body or a handler sends a message to some peer.
    pub(super) fn send(&mut self, from: usize, key: Key, parent: Option<u64>) {
        let sender = self.process(from);
        let to = self.dice.below(self.hosts.len());
        let to = self.process(to);
        self.post.sent += 1;
        let id = self.post.sent;
        let hops = match parent.and_then(|parent| self.post.letters.get_mut(&parent)) {
            Some(letter) => {
                letter.open += 1;
                letter.hops + 1
            }
            None => {
                let new = || Mail { sender, open: 0, passive: false, dropped: false, by_handlers: 0 };
                self.post.mail.entry(key).or_insert_with(new).open += 1;
                1
            }
        };
        self.report.messages += 1;
        if parent.is_some() {
            self.report.note("a handler sent a message");
        }
        say!(self, self.hosts[from].name, "message {id} of {} goes to {}", self.attempt(key), self.hosts[to.host].name);
        self.post.letters.insert(id, Letter { key, parent, hops, open: 0, state: State::Travels });
        let faults = self.plan.faults;
        let late = !self.calm && faults.has(Fault::MessageDelayed) && self.dice.chance(15);
        let twice = !self.calm && faults.has(Fault::MessageTwice) && self.dice.chance(15);
        let ms = 1 + self.dice.ms(if late { LATE_MS } else { TRAVEL_MS });
        self.after(ms, Event::Deliver(to, id));
        if late {
            self.report.inject(Fault::MessageDelayed.name());
        }
        if twice {
            self.report.inject(Fault::MessageTwice.name());
            let ms = 1 + self.dice.ms(LATE_MS);
            self.after(ms, Event::Deliver(to, id));
        }
    }

    /// A message arrives; a second time it is dropped by its id.
    pub(super) fn deliver(&mut self, to: Process, id: u64) {
        let Some(letter) = self.post.letters.get_mut(&id).filter(|letter| letter.state == State::Travels) else {
            self.report.note("a duplicate message was dropped");
            return;
        };
        if self.hosts[to.host].node.is_none() || self.hosts[to.host].life != to.life {
            return self.dead_letter(id);
        }
        letter.state = State::Handled;
        let ms = 1 + self.dice.ms(HANDLER_MS);
        self.after(ms, Event::Handler(to, id));
    }

    /// A handler comes to its end: what it does, it does just before.
    pub(super) fn handler_goes_on(&mut self, to: Process, id: u64) {
        let Some(letter) = self.post.letters.get(&id) else { return };
        let (key, hops) = (letter.key, letter.hops);
        if self.hosts[to.host].node.is_none() || self.hosts[to.host].life != to.life {
            return self.dead_letter(id);
        }
        let dropped = self.post.mail.get(&key).is_none_or(|mail| mail.dropped);
        if !dropped && hops < HOPS_MAX && self.dice.chance(35) {
            self.send(to.host, key, Some(id));
        }
        if !dropped && self.dice.chance(30) && self.submit_by_handler(key, id) {
            return;
        }
        self.handler_finished(id);
    }

    /// A handler submits a task; the parent is the sending task, so its own node says so.
    fn submit_by_handler(&mut self, key: Key, id: u64) -> bool {
        let Some(mail) = self.post.mail.get_mut(&key) else { return false };
        let sender = mail.sender;
        let lives = self.hosts[sender.host].node.is_some() && self.hosts[sender.host].life == sender.life;
        if !lives || mail.by_handlers == BY_HANDLERS_MAX {
            return false;
        }
        let number = 100 + mail.by_handlers;
        mail.by_handlers += 1;
        let parent = &self.judge.tasks[key.0.index()];
        let (name, depth) = (parent.spec.id.clone(), parent.depth);
        let child = self.wanted.child(&name, number, depth + 1, &mut self.dice);
        let tasks = vec![crate::TaskSpec { kind: "plain".to_owned(), dependencies: Vec::new(), ..child }];
        self.report.note("a handler submitted a task");
        let submission = Submission { tasks, parent: Some(key), more: false };
        self.wish(sender.host, Op::Submit(submission), Whom::Handler(id));
        true
    }

    /// Every call that the handler made is answered.
    pub(super) fn handler_finished(&mut self, id: u64) {
        if let Some(letter) = self.post.letters.get_mut(&id) {
            letter.state = State::Finished;
            self.may_close(id);
        }
    }

    fn dead_letter(&mut self, id: u64) {
        self.report.dead_letters += 1;
        self.report.note("a message died with its recipient");
        self.handler_finished(id);
    }

    /// Closes a message, and upwards what that closes as well.
    fn may_close(&mut self, mut id: u64) {
        loop {
            let letter =
                self.post.letters.get(&id).filter(|letter| letter.state == State::Finished && letter.open == 0);
            if letter.is_none() {
                return;
            }
            let letter = self.post.letters.remove(&id).expect("it was just looked at");
            if let Some(parent) = letter.parent {
                if let Some(above) = self.post.letters.get_mut(&parent) {
                    above.open -= 1;
                }
                id = parent;
                continue;
            }
            let Some(mail) = self.post.mail.get_mut(&letter.key) else { return };
            mail.open -= 1;
            if mail.open == 0 && mail.passive && !mail.dropped {
                let (task, grant) = letter.key;
                let sender = mail.sender;
                let ms = 1 + self.dice.ms(TRAVEL_MS);
                self.report.note("open messages were settled");
                self.after(ms, Event::Settled(sender, (task, grant)));
            }
            return;
        }
    }

    /// The node is told that the messages of an attempt are acknowledged.
    pub(super) fn tell_settled(&mut self, host: usize, (task, grant): Key) {
        if self.post.mail.get(&(task, grant)).is_some_and(|mail| mail.dropped) {
            return;
        }
        self.witness.handed.insert((task, grant), self.now);
        self.tell(host, Input::MessagesSettled { task, grant });
    }

    /// A body has ended; how many of its messages are open. One that did not end ok drops them.
    pub(super) fn mail_ends(&mut self, key: Key, ok: bool) -> u32 {
        let Some(mail) = self.post.mail.get_mut(&key) else { return 0 };
        mail.passive = true;
        mail.dropped |= !ok;
        if mail.dropped { 0 } else { mail.open }
    }

    pub(super) fn drop_mail(&mut self, key: Key) {
        if let Some(mail) = self.post.mail.get_mut(&key) {
            mail.dropped = true;
        }
    }

    /// A process dies, and with it everything that its attempts had sent.
    pub(super) fn lose_mail(&mut self, host: usize) {
        let process = self.process(host);
        for mail in self.post.mail.values_mut().filter(|mail| mail.sender == process) {
            mail.dropped = true;
        }
    }
}
