//! One shard of the load: starts its share of the requests when they are due.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
    sync::{Arc, mpsc::Sender},
    time::Instant,
};

use coo_shards::{alarm::Alarm, http1::client::Connection, time};

use super::{
    Pace, Plan, exchange,
    profile::Profile,
    recorder::Recorder,
    stats::{Entry, Failure, Second, Stats},
};

/// Overdue requests started in one go before answers are looked at.
const BATCH: usize = 64;

/// The state of one shard.
pub(super) struct Shard {
    pub(super) plan: Arc<Plan>,
    pub(super) recorder: RefCell<Recorder>,
    /// Connections without a request, the last used on top.
    pub(super) idle: RefCell<Vec<Connection>>,
    /// Requests under way.
    pub(super) in_flight: Cell<usize>,
    /// Tasks that send requests, each on one connection at a time.
    clients: Cell<usize>,
    /// When the requests were due that wait for a connection (open loop), oldest first.
    waiting: RefCell<VecDeque<Instant>>,
    /// Requests still to be sent (closed loop).
    left: Cell<u64>,
    start: Instant,
}

/// Runs shard `index` to the end of the plan: its counts, its log, and when the last answer came.
pub(super) async fn shard(
    plan: Arc<Plan>,
    index: usize,
    start: Instant,
    sender: Sender<Second>,
) -> io::Result<(Stats, Vec<Entry>, Instant)> {
    let shards = plan.cpus.len().max(1);
    let shard = Rc::new(Shard {
        recorder: RefCell::new(Recorder::new(start, &plan, sender)),
        idle: RefCell::default(),
        in_flight: Cell::new(0),
        clients: Cell::new(0),
        waiting: RefCell::default(),
        left: Cell::new(u64::MAX),
        start,
        plan: Arc::clone(&plan),
    });
    let weak = Rc::downgrade(&shard);
    time::on_tick(Rc::new(move |_| {
        if let Some(shard) = weak.upgrade() {
            shard.recorder.borrow_mut().roll(Instant::now(), shard.in_flight.get());
        }
    }));
    let alarm = Alarm::new()?;
    alarm.until(start).await?;
    match &plan.pace {
        Pace::Open { rate, connections, max_in_flight } => {
            let part = |all: usize| share(all as u64, index, shards) as usize;
            let bounds = Bounds { connections: part(*connections).max(1), in_flight: part(*max_in_flight) };
            open(&shard, &alarm, rate, bounds, (index, shards)).await?;
        }
        Pace::Closed { clients, requests, .. } => {
            if let Some(requests) = requests {
                shard.left.set(share(*requests, index, shards));
            }
            for client in (index..clients.peak().ceil() as usize).step_by(shards) {
                shard.clients.set(shard.clients.get() + 1);
                monoio::spawn(run_client(Rc::clone(&shard), client));
            }
        }
    }
    while shard.clients.get() > 0 {
        time::next_tick().await;
    }
    let ended = shard.recorder.borrow().last_end();
    let (stats, log) = shard.recorder.borrow_mut().end();
    shard.idle.borrow_mut().clear();
    Ok((stats, log, ended))
}

/// The part of `all` that falls to shard `index` of `shards`.
fn share(all: u64, index: usize, shards: usize) -> u64 {
    let (index, shards) = (index as u64, shards as u64);
    all / shards + u64::from(index < all % shards)
}

/// A shard's part of the bounds of an open loop.
#[derive(Clone, Copy)]
struct Bounds {
    connections: usize,
    in_flight: usize,
}

/// Starts the requests of the schedule that fall to shard `index` of `shards`: every `shards`th.
async fn open(
    shard: &Rc<Shard>,
    alarm: &Alarm,
    rate: &Profile,
    bounds: Bounds,
    (index, shards): (usize, usize),
) -> io::Result<()> {
    let mut batch = 0;
    let mut n = index as u64;
    while let Some(offset) = rate.time_of(n) {
        n += shards as u64;
        let due = shard.start + offset;
        batch += 1;
        if due > Instant::now() || batch == BATCH {
            alarm.until(due).await?;
            batch = 0;
        }
        let (sending, waiting) = (shard.clients.get(), shard.waiting.borrow().len());
        if sending + waiting >= bounds.in_flight {
            shard.recorder.borrow_mut().miss(due);
        } else if sending >= bounds.connections {
            shard.waiting.borrow_mut().push_back(due);
        } else {
            shard.clients.set(sending + 1);
            monoio::spawn(send_due(Rc::clone(shard), due));
        }
    }
    Ok(())
}

/// Sends the request due at `due`, then those that wait for a connection.
async fn send_due(shard: Rc<Shard>, due: Instant) {
    let mut next = Some(due);
    while let Some(due) = next {
        exchange::perform(&shard, due).await;
        next = shard.waiting.borrow_mut().pop_front();
    }
    shard.clients.set(shard.clients.get() - 1);
}

/// One client of a closed loop.
async fn run_client(shard: Rc<Shard>, client: usize) {
    let Pace::Closed { clients, pause, .. } = &shard.plan.pace else { return };
    loop {
        let now = shard.start.elapsed();
        if now >= clients.length() || shard.left.get() == 0 {
            break;
        }
        if clients.value_at(now) <= client as f64 {
            time::next_tick().await;
            continue;
        }
        shard.left.set(shard.left.get() - 1);
        let failure = exchange::perform(&shard, Instant::now()).await;
        if failure == Some(Failure::Connect) {
            // A server that is not there is not asked faster than it can be missed.
            time::next_tick().await;
        }
        if !pause.is_zero() {
            time::sleep(*pause).await;
        }
    }
    shard.clients.set(shard.clients.get() - 1);
}

#[cfg(test)]
mod tests {
    #[test]
    fn shares_add_up() {
        for all in [0, 1, 7, 1000] {
            assert_eq!((0..3).map(|index| super::share(all, index, 3)).sum::<u64>(), all);
        }
    }
}
