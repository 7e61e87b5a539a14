// What the examples of this crate begin with: each includes this file in a line that readers don't see first.
mod demo {
    use meshwork::artifacts::FolderArtifacts;
    use meshwork::broker::{Broker, BrokerConfig, MailInMemory};
    pub use meshwork::file::{Format, SwarmFile, parse};
    pub use meshwork::local::{LocalError, LocalOptions, LocalSwarm};
    use meshwork::log::MemoryLog;
    pub use meshwork::mesh::{Agent, Attempt, AttemptEnd, FnAgent, Mesh, MeshError, MeshOptions, Output, PeerSetup};
    pub use meshwork::process::{self, Nonce, OutputLimits, ProcessSpec};
    pub use meshwork::view::View;
    pub use meshwork_core::{
        AttemptOutcome, Author, Batch, Config, Op, Payload, PeerSpec, Position, Returned, Seen, Submission, TaskNo,
        TaskSpec, Tokens, VERSION,
    };
    use std::path::Path;
    pub use std::sync::Arc;
    use tokio::task::JoinHandle;

    /// What a node on a log in memory is started with; it has no peer.
    pub fn options(folder: &Path) -> MeshOptions {
        let artifacts = Arc::new(FolderArtifacts::open(folder).expect("a folder of our own"));
        let broker = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
        MeshOptions::new(Arc::new(MemoryLog::new()), artifacts, broker)
    }

    /// Such a node with the peer `ada`.
    pub async fn with_agent(
        folder: &Path,
        agent: impl Agent,
    ) -> Result<(Mesh, JoinHandle<Result<(), MeshError>>), MeshError> {
        let peers = vec![PeerSetup { spec: PeerSpec::new("ada"), agent: Arc::new(agent) }];
        Mesh::start(MeshOptions { peers, ..options(folder) }).await
    }

    /// Such a node whose peer `ada` answers 42 to everything.
    pub async fn start(folder: &Path) -> Result<(Mesh, JoinHandle<Result<(), MeshError>>), MeshError> {
        with_agent(folder, FnAgent::new(|_| async { AttemptEnd::ok(Output::Json("42".to_owned())) })).await
    }

    /// What `ada` returns with this agent for the task `build`, when all is done.
    pub async fn run(agent: impl Agent) -> Result<Returned, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (mesh, _ended) = with_agent(folder.path(), agent).await?;
        let tasks = mesh.submit(vec![TaskSpec::new("build")]).await?;
        mesh.complete().await?;
        Ok(mesh.result(tasks[0]).await?.expect("it has returned"))
    }

    /// A swarm file with one shell peer and one task.
    pub fn hello() -> SwarmFile {
        let text =
            "swarm.id = \"demo\"\npeers = [{ id = \"sh\" }]\ntasks = [{ id = \"hello\", run = \"echo hello\" }]\n";
        parse(text, Format::Toml, "swarm.toml").expect("it is a swarm file")
    }

    pub async fn local(folder: &Path) -> Result<LocalSwarm, LocalError> {
        LocalSwarm::start(&hello(), folder, &folder.join("state"), LocalOptions::default()).await
    }

    /// A line for the shell. Examples run beside each other, so each names its attempt by its own process.
    pub fn shell(folder: &Path, line: &str) -> ProcessSpec {
        ProcessSpec {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), line.into()],
            cwd: folder.to_owned(),
            env: process::environment(&[]),
            stdin: Default::default(),
            timeout: None,
            grace: process::DEFAULT_GRACE,
            limits: OutputLimits::default(),
            nonce: Nonce::new("6f1c2a", std::process::id().to_string()).expect("letters and digits"),
            spill_dir: folder.to_owned(),
            on_output: None,
        }
    }

    /// The log of the swarm `demo`: the node `local` joins, its peer `ada` comes and does the one task, `build`.
    pub fn batches() -> [Batch; 3] {
        let batch = |incarnation, seq, time_ms, entries| {
            let author = Author { node: "local".to_owned(), incarnation };
            Batch { author, seq, seen: Seen::default(), time_ms, entries }
        };
        let (log_id, swarm_id) = ("log-1".to_owned(), "demo".to_owned());
        let open = Op::Open { log_id, swarm_id, config: Config::default(), version: VERSION };
        let join = Op::Join { replaces: Position::START, version: VERSION, sessions: 1 };
        let tasks = Submission { tasks: vec![TaskSpec::new("build")], parent: None, more: false };
        let (task, grant, me) = (TaskNo(0), Position::new(2, 1), Position::new(1, 1));
        let result = Some(Payload::Json("42".to_owned()));
        let usage = Tokens { input: 1_200, output: 300 };
        let (outcome, error, started_ms, ran_ms, messages_open) = (AttemptOutcome::Ok, None, 2_100, 2_800, false);
        let returned = Returned { task, grant, outcome, result, error, usage, started_ms, ran_ms, messages_open };
        [
            batch(Position::START, 7, 1_000, vec![open, join]),
            batch(me, 1, 2_000, vec![Op::PeerUp(PeerSpec::new("ada")), Op::Submit(tasks)]),
            batch(me, 2, 5_000, vec![Op::Return(returned), Op::Seal { round: 1 }]),
        ]
    }

    /// What that log says up to this batch.
    pub fn view(batch: usize) -> View {
        let mut view = View::new();
        for (seq, batch) in (1..).zip(&batches()[..batch]) {
            view.apply(seq, batch).expect("the batches follow each other");
        }
        view
    }
}
