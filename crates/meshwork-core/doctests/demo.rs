// What the examples of this crate begin with: each includes this file in a line that readers don't see first.
mod demo {
    pub use meshwork_core::node::{Ask, Input, Node, Setup};
    pub use meshwork_core::topology::{Choice, Requested, Topology};
    pub use meshwork_core::{
        Applied, AttemptOutcome, Author, Batch, Config, Grant, LogFault, Op, PeerNo, PeerSpec, Position, Returned,
        Submission, Swarm, TaskNo, TaskSpec, Tokens, VERSION,
    };

    /// The swarm `demo`, with the node `local` and its peer `ada`, who has one slot; two batches.
    pub fn swarm() -> Swarm {
        opened(Config::default(), vec![PeerSpec::new("ada")])
    }

    /// The same as a hierarchy: the queen `queen`, and below her `ada` and `bob`, who can review.
    pub fn hierarchy() -> Swarm {
        let requested = Requested::Explicit(Topology::Hierarchical);
        let config = Config { topology: Choice { requested, ..Choice::default() }, ..Config::default() };
        let bob = PeerSpec { capabilities: vec!["review".to_owned()], ..PeerSpec::new("bob") };
        opened(config, vec![PeerSpec::new("queen"), PeerSpec::new("ada"), bob])
    }

    fn opened(config: Config, peers: Vec<PeerSpec>) -> Swarm {
        let (log_id, swarm_id) = ("log-1".to_owned(), "demo".to_owned());
        let join = Op::Join { replaces: Position::START, version: VERSION, sessions: 1 };
        let mut swarm = Swarm::new();
        let opened = write(&mut swarm, vec![Op::Open { log_id, swarm_id, config, version: VERSION }, join]);
        let announced = write(&mut swarm, peers.into_iter().map(Op::PeerUp).collect());
        assert!(opened.is_ok() && announced.is_ok());
        swarm
    }

    /// The next batch of the node `local`.
    pub fn write(swarm: &mut Swarm, entries: Vec<Op>) -> Result<Applied, LogFault> {
        let incarnation = swarm.last_incarnation("local");
        let node = swarm.node_no(incarnation).and_then(|no| swarm.node(no));
        let seq = node.map_or(1, |node| node.last_seq + 1);
        let author = Author { node: "local".to_owned(), incarnation };
        let batch = Batch { author, seq, seen: swarm.last(), time_ms: 0, entries };
        swarm.apply_batch(swarm.last().seq + 1, &batch)
    }

    pub fn submit(tasks: impl Into<Vec<TaskSpec>>) -> Op {
        Op::Submit(Submission { tasks: tasks.into(), parent: None, more: false })
    }

    /// The end of an attempt that took 80 ms and 1,500 tokens.
    pub fn returned(task: TaskNo, grant: Grant, outcome: AttemptOutcome) -> Op {
        let (result, error, usage) = (None, None, Tokens { input: 1_200, output: 300 });
        let (started_ms, ran_ms, messages_open) = (0, 80, false);
        Op::Return(Returned { task, grant, outcome, result, error, usage, started_ms, ran_ms, messages_open })
    }

    /// The node `local` with the peer `ada`, before it has read its log, which is empty.
    pub fn node() -> Node {
        let open = Some(("log-1".to_owned(), "demo".to_owned(), Config::default()));
        let (name, peers) = ("local".to_owned(), vec![PeerSpec::new("ada")]);
        let setup = Setup { name, nonce: 7, open, sessions: 1, peers, rebalance_ms: None, imbalance_permille: 1_500 };
        Node::new(setup, Swarm::new())
    }

    /// A log that holds at once what is appended, until the node has nothing more to append; what else it asks for.
    pub fn settle(node: &mut Node, mut asks: Vec<Ask>) -> Result<Vec<Ask>, LogFault> {
        while let Some(at) = asks.iter().position(|ask| matches!(ask, Ask::Append(_))) {
            let Ask::Append(batch) = asks.remove(at) else { unreachable!("it was just looked at") };
            let seq = node.swarm().last().seq + 1;
            asks.extend(node.handle(Input::Stored { seq, batch }, 0)?);
        }
        Ok(asks)
    }

    /// The same node when it has joined.
    pub fn member() -> Result<Node, LogFault> {
        let mut node = node();
        let asks = node.handle(Input::CaughtUp, 0)?;
        settle(&mut node, asks)?;
        Ok(node)
    }
}
