//! Alert mails: what is mailed, and the thread that hands it to the relay.
//!
//! # Design
//! Children say what is to be mailed ([`Alert`]), the parent sends it. So there is one queue and one
//! conversation with the relay for all processes, the queue outlives a child that dies, and the last
//! mails of a stop are sent when the children have ended. The parent does so on a thread of its own:
//! names, certificates and slow relays may hold that up, and nothing else waits for it.
//!
//! What decides is the pure [`queue`]; [`letter`] makes mails of alerts, `relay` speaks SMTP.
//!
//! A mail stays until the relay has answered for every recipient: taken and refused ones leave, those
//! that are put off are tried again, later and later, and never out of their order. keepalived tries
//! once.

pub mod letter;
pub mod queue;
mod relay;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use kconf_parser::config::Globals;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use self::letter::{Host, Letterhead};
use self::queue::{Attempt, Queue};
use self::relay::{Relay, Session};
use crate::status::{MailStatus, unix_ms};

/// The longest subject in bytes, without the name of the router. Source: keepalived.
const MAX_SUBJECT: usize = 256;

/// Something that is to be mailed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The subject behind the name of the router: `VRRP Instance VI - Entering MASTER state`.
    pub subject: String,
    /// The body: `=> VRRP Instance is now owning VRRP VIPs <=`.
    pub body: String,
    /// When it happened.
    pub at_unix_ms: u64,
}

impl Alert {
    /// An alert of this moment.
    #[must_use]
    pub fn now(mut subject: String, body: impl Into<String>) -> Self {
        while subject.len() > MAX_SUBJECT {
            subject.pop();
        }
        Self {
            subject,
            body: body.into(),
            at_unix_ms: unix_ms(SystemTime::now()),
        }
    }
}

/// Whether a configuration has somebody to mail to, and a relay that takes it.
#[must_use]
pub fn is_wanted(globals: &Globals) -> bool {
    globals.smtp_server.is_some() && !globals.notification_email.is_empty()
}

/// The way to the thread that sends. Never waits.
#[derive(Debug, Default)]
pub(crate) struct Post {
    orders: Option<mpsc::UnboundedSender<Order>>,
    status: Arc<Mutex<MailStatus>>,
}

/// Something for the thread to do.
#[derive(Debug)]
enum Order {
    Configure(Box<Globals>),
    Send(Alert),
    /// Answer when nothing is left to be sent, or the relay does not take it.
    Finish(oneshot::Sender<()>),
}

impl Post {
    /// Goes by this configuration from now on; the thread starts with the first one that wants mail.
    /// What waits is sent to the relay that is named now.
    pub(crate) fn configure(&mut self, globals: &Globals) {
        if self.orders.is_none() && is_wanted(globals) {
            let (orders, queue) = mpsc::unbounded_channel();
            let status = Arc::clone(&self.status);
            let thread = std::thread::Builder::new().name("mail".to_owned());
            match thread.spawn(move || work(queue, status)) {
                Ok(_) => self.orders = Some(orders),
                Err(error) => error!("Unable to start the thread for mails - {error}"),
            }
        }
        self.order(Order::Configure(Box::new(globals.clone())));
    }

    /// Has this mailed.
    pub(crate) fn send(&self, alert: Alert) {
        self.order(Order::Send(alert));
    }

    /// How it goes.
    pub(crate) fn status(&self) -> MailStatus {
        let status = self.status.lock();
        status.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all is sent or the relay does not take it, but no longer than `limit`.
    pub(crate) async fn finish(&self, limit: Duration) {
        let (done, is_done) = oneshot::channel();
        if self.order(Order::Finish(done)) {
            let _ = tokio::time::timeout(limit, is_done).await;
        }
        match self.status().queued {
            0 => {}
            count => warn!("{count} mails were not sent before the end"),
        }
    }

    fn order(&self, order: Order) -> bool {
        let orders = self.orders.as_ref();
        orders.is_some_and(|orders| orders.send(order).is_ok())
    }
}

fn work(orders: mpsc::UnboundedReceiver<Order>, status: Arc<Mutex<MailStatus>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(Office::new(orders, status).run()),
        Err(error) => error!("Unable to start the thread for mails - {error}"),
    }
}

/// The thread's own.
struct Office {
    orders: mpsc::UnboundedReceiver<Order>,
    status: Arc<Mutex<MailStatus>>,
    host: Host,
    head: Option<Letterhead>,
    relay: Option<Relay>,
    queue: Queue,
    session: Option<Session>,
    delivery: Option<Delivery>,
    finish: Option<oneshot::Sender<()>>,
}

/// A mail under way.
struct Delivery {
    /// The mail's number in the queue.
    number: u64,
    task: JoinHandle<(Option<Session>, Attempt)>,
}

/// What the thread waits for.
enum Event {
    Order(Option<Order>),
    Delivered(Option<Session>, Attempt),
    Due,
}

impl Office {
    fn new(orders: mpsc::UnboundedReceiver<Order>, status: Arc<Mutex<MailStatus>>) -> Self {
        Self {
            orders,
            status,
            host: Host::look_up(),
            head: None,
            relay: None,
            queue: Queue::default(),
            session: None,
            delivery: None,
            finish: None,
        }
    }

    /// Works until nobody is there any more to give orders.
    async fn run(mut self) {
        loop {
            self.deliver();
            self.publish();
            self.finish_if_done();
            match self.next().await {
                Event::Order(Some(order)) => self.obey(order),
                Event::Order(None) => return,
                Event::Delivered(session, attempt) => self.delivered(session, attempt),
                Event::Due => {}
            }
        }
    }

    async fn next(&mut self) -> Event {
        // While a mail is under way no other one is tried.
        let due = match self.delivery {
            Some(_) => None,
            None => self.queue.poll_timeout(Instant::now()),
        };
        let due = async move {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let delivered = async {
            match &mut self.delivery {
                Some(delivery) => (&mut delivery.task).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            order = self.orders.recv() => Event::Order(order),
            delivered = delivered => {
                let broken = || (None, Attempt::broken("an internal fault"));
                let (session, attempt) = delivered.unwrap_or_else(|_| broken());
                Event::Delivered(session, attempt)
            }
            () = due => Event::Due,
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Configure(globals) => self.configure(&globals),
            Order::Send(alert) => {
                if let Some(head) = &mut self.head
                    && let Some(letter) = head.write(&alert)
                    && self.queue.push(Instant::now(), letter)
                {
                    warn!("Too many mails wait, the oldest one is lost");
                }
            }
            Order::Finish(done) => self.finish = Some(done),
        }
    }

    fn configure(&mut self, globals: &Globals) {
        self.relay = Relay::of(globals, &self.host);
        self.session = None;
        self.queue.try_again();
        let (head, problems) = Letterhead::of(globals, &self.host);
        for problem in problems {
            warn!("{problem}");
        }
        self.head = head;
        if self.relay.is_none() && self.queue.waiting() > 0 {
            warn!("{} mails have no relay any more", self.queue.waiting());
            self.queue.clear();
        }
    }

    /// Starts with the next mail, if one is due and none is under way.
    fn deliver(&mut self) {
        let (None, Some(relay)) = (&self.delivery, &self.relay) else {
            return;
        };
        let Some(job) = self.queue.next(Instant::now()) else {
            if let Some(session) = self.session.take() {
                session.close();
            }
            return;
        };
        let (relay, session, number) = (relay.clone(), self.session.take(), job.number);
        let task = tokio::spawn(async move { relay.deliver(session, &job).await });
        self.delivery = Some(Delivery { number, task });
    }

    fn delivered(&mut self, session: Option<Session>, attempt: Attempt) {
        let Some(Delivery { number, .. }) = self.delivery.take() else {
            return;
        };
        // After a change of relay the session is one with the old one.
        let is_current = session.as_ref().map(Session::relay) == self.relay.as_ref();
        self.session = session.filter(|_| is_current);
        if attempt.is_accepted() {
            info!("SMTP alert successfully sent.");
        }
        let now = Instant::now();
        let broken = attempt.trouble().map(ToOwned::to_owned);
        let lost = self.queue.handle(now, number, attempt);
        if let Some(trouble) = broken {
            let waiting = self.queue.waiting();
            let next = self.queue.poll_timeout(now);
            let next = next.map_or(Duration::ZERO, |due| due.saturating_duration_since(now));
            warn!(
                "{trouble} - {waiting} mails wait, next try in {} s",
                next.as_secs_f64().round()
            );
        }
        if lost > 0 {
            warn!("{lost} mails are given up, the relay has not taken them for a day");
        }
    }

    fn publish(&self) {
        let status = self.status.lock();
        *status.unwrap_or_else(PoisonError::into_inner) = self.queue.status();
    }

    /// At the end what the relay does not take at the first try is not waited for.
    fn finish_if_done(&mut self) {
        let is_under_way = self.delivery.is_some();
        if !is_under_way && let Some(done) = self.finish.take() {
            let _ = done.send(());
        }
    }
}
