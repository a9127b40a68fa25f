//! The requests of one client, and the streams that answer them.
//!
//! A task of its own fills each stream through a channel that holds one message. A message is made only when there is
//! room for it, so nothing is made for a client that does not read. A client that takes no message for too long is
//! disconnected. A client has at most one stream of updates, as their messages are large.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use console_api::instrument::instrument_server::Instrument;
use console_api::instrument::{
    InstrumentRequest, PauseRequest, PauseResponse, ResumeRequest, ResumeResponse, State,
    StateRequest, TaskDetailsRequest, Temporality, Update,
};
use console_api::tasks::TaskDetails;
use console_api::tasks::task_details::PollTimesHistogram;
use runtime_probe::pprof::{self, Distribution};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::timeout;
use tonic::codegen::tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::histogram;
use crate::model::Shared;
use crate::updates::Updates;

/// A client. Pausing affects this client only.
pub(crate) struct Client {
    shared: Arc<Shared>,
    temporality: watch::Sender<Temporality>,
    too_slow: Arc<Notify>,
    /// The permit is taken while the client has a stream of updates.
    updates: Arc<Semaphore>,
}

impl Client {
    pub(crate) fn new(shared: Arc<Shared>, too_slow: Arc<Notify>) -> Client {
        Client {
            shared,
            temporality: watch::Sender::new(Temporality::Live),
            too_slow,
            updates: Arc::new(Semaphore::new(1)),
        }
    }

    fn stream<M>(&self) -> (Sender<M>, Response<Receiver<M>>) {
        let (messages, receiver) = mpsc::channel(1);
        let sender = Sender {
            messages,
            patience: self.shared.patience,
            too_slow: self.too_slow.clone(),
        };
        (sender, Response::new(Receiver(receiver)))
    }
}

#[tonic::async_trait]
impl Instrument for Client {
    type WatchUpdatesStream = Receiver<Update>;
    type WatchTaskDetailsStream = Receiver<TaskDetails>;
    type WatchStateStream = Receiver<State>;

    async fn watch_updates(
        &self,
        _: Request<InstrumentRequest>,
    ) -> Result<Response<Receiver<Update>>, Status> {
        let only = self.updates.clone().try_acquire_owned();
        let only = only.map_err(|_| {
            Status::resource_exhausted(
                "this connection has a stream of updates already: one will do, others need a connection of their own",
            )
        })?;
        let (sender, response) = self.stream();
        let (shared, temporality) = (self.shared.clone(), self.temporality.subscribe());
        tokio::spawn(async move {
            send_updates(shared, temporality, sender).await;
            drop(only);
        });
        Ok(response)
    }

    async fn watch_task_details(
        &self,
        request: Request<TaskDetailsRequest>,
    ) -> Result<Response<Receiver<TaskDetails>>, Status> {
        let id = request.into_inner().id;
        let id = id
            .ok_or_else(|| Status::invalid_argument("the request names no task"))?
            .id;
        let polls = match pprof::watch_polls(id) {
            Ok(polls) => Some(polls),
            // The page is shown, without a histogram.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Status::not_found(error.to_string()));
            }
            Err(error) => return Err(Status::resource_exhausted(error.to_string())),
        };
        let (sender, response) = self.stream();
        tokio::spawn(send_details(self.shared.clone(), id, polls, sender));
        Ok(response)
    }

    async fn watch_state(
        &self,
        _: Request<StateRequest>,
    ) -> Result<Response<Receiver<State>>, Status> {
        let (sender, response) = self.stream();
        tokio::spawn(send_states(self.temporality.subscribe(), sender));
        Ok(response)
    }

    async fn pause(&self, _: Request<PauseRequest>) -> Result<Response<PauseResponse>, Status> {
        self.temporality.send_replace(Temporality::Paused);
        Ok(Response::new(PauseResponse {}))
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<ResumeResponse>, Status> {
        self.temporality.send_replace(Temporality::Live);
        Ok(Response::new(ResumeResponse {}))
    }
}

/// A stream is over if its client does not take its messages, has left it, or is gone.
struct Over;

async fn send_updates(
    shared: Arc<Shared>,
    mut temporality: watch::Receiver<Temporality>,
    sender: Sender<Update>,
) {
    let mut attached = shared.attach();
    let mut updates = Updates::default();
    let rounds = async {
        loop {
            attached.look_after(updates.seen()).await;
            let live = temporality.wait_for(|now| *now == Temporality::Live);
            live.await.map_err(|_| Over)?;
            let mut round = updates.round(&shared.model());
            loop {
                // The lock of the model is taken after the wait, so it is not held while a client takes its time.
                let room = sender.room().await?;
                let message = updates.message(&mut round, &shared.model());
                let Some(message) = message else { break };
                room.send(message);
            }
        }
    };
    let _: Result<(), Over> = sender.until_closed(rounds).await;
}

async fn send_details(
    shared: Arc<Shared>,
    id: u64,
    polls: Option<pprof::PollWatch>,
    sender: Sender<TaskDetails>,
) {
    let mut attached = shared.attach();
    let mut seen = 0;
    let details = async {
        loop {
            attached.look_after(seen).await;
            let room = sender.room().await?;
            seen = shared.model().look;
            let times = match &polls {
                Some(polls) => Some(polls.read().ok_or(Over)?),
                None => None,
            };
            let of = |times: Option<&Distribution>| histogram::of(times?);
            let polls = of(times.as_ref().map(|times| &times.polls));
            let delays = of(times.as_ref().map(|times| &times.delays));
            room.send(TaskDetails {
                task_id: Some(id.into()),
                now: Some(SystemTime::now().into()),
                poll_times_histogram: polls.map(PollTimesHistogram::Histogram),
                scheduled_times_histogram: delays,
            });
        }
    };
    let _: Result<(), Over> = sender.until_closed(details).await;
}

async fn send_states(mut temporality: watch::Receiver<Temporality>, sender: Sender<State>) {
    let states = async {
        loop {
            let room = sender.room().await?;
            let now = *temporality.borrow_and_update();
            room.send(State {
                temporality: now.into(),
            });
            temporality.changed().await.map_err(|_| Over)?;
        }
    };
    let _: Result<(), Over> = sender.until_closed(states).await;
}

/// Fills a stream.
struct Sender<M> {
    messages: mpsc::Sender<M>,
    patience: Duration,
    too_slow: Arc<Notify>,
}

impl<M> Sender<M> {
    /// Waits until there is room for a message.
    async fn room(&self) -> Result<mpsc::Permit<'_, M>, Over> {
        match timeout(self.patience, self.messages.reserve()).await {
            Ok(room) => room.map_err(|_| Over),
            Err(_) => {
                self.too_slow.notify_one();
                Err(Over)
            }
        }
    }

    /// Runs `filling` until it ends or the client has left the stream.
    async fn until_closed(
        &self,
        filling: impl Future<Output = Result<(), Over>>,
    ) -> Result<(), Over> {
        tokio::select! {
            result = filling => result,
            () = self.messages.closed() => Err(Over),
        }
    }
}

/// A stream that answers a request.
pub(crate) struct Receiver<M>(mpsc::Receiver<M>);

impl<M> Stream for Receiver<M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|message| message.map(Ok))
    }
}
