//! iceoryx2 publish-subscribe between two processes, without loss.
//!
//! Safe overflow off and `RetryUntilDelivered`, so that every sample arrives. The subscriber
//! looks again and again, giving the processor away in between: there is no wait inside
//! publish-subscribe, and the events that would add one cost more than they save here.

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;

type Service = ipc::Service;

/// The place where both ends meet.
pub struct Meeting {
    /// Keeps the process known to the others.
    _node: Node<Service>,
    service: iceoryx2::service::port_factory::publish_subscribe::PortFactory<Service, u64, ()>,
}

impl Meeting {
    /// Opens the service of this name, for `buffer` samples under way.
    pub fn new(name: &str, buffer: usize) -> Self {
        set_log_level(LogLevel::Error);
        let node = NodeBuilder::new().create::<Service>().expect("a node");
        let service = node
            .service_builder(&name.try_into().expect("a name"))
            .publish_subscribe::<u64>()
            .enable_safe_overflow(false)
            .history_size(0)
            .subscriber_max_buffer_size(buffer)
            .max_publishers(1)
            .max_subscribers(1)
            .open_or_create()
            .expect("a service");
        Self { _node: node, service }
    }

    /// The sending end.
    pub fn publisher(&self) -> Publisher<Service, u64, ()> {
        self.service
            .publisher_builder()
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .expect("a publisher")
    }

    /// The receiving end.
    pub fn subscriber(&self) -> Subscriber<Service, u64, ()> {
        self.service.subscriber_builder().create().expect("a subscriber")
    }
}

/// Sends one number.
#[inline]
pub fn send(publisher: &Publisher<Service, u64, ()>, number: u64) {
    let sample = publisher.loan_uninit().expect("a loan");
    let reached = sample.write_payload(number).send().expect("sent");
    assert_eq!(reached, 1, "a sample reaches its subscriber");
}

/// Receives one number.
#[inline]
pub fn receive(subscriber: &Subscriber<Service, u64, ()>) -> u64 {
    let mut looks = 0u32;
    loop {
        if let Some(sample) = subscriber.receive().expect("received") {
            return *sample.payload();
        }
        looks += 1;
        if looks.is_multiple_of(64) {
            std::thread::yield_now();
        }
        std::hint::spin_loop();
    }
}
