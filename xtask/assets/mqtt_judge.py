"""paho as another client of an MQTT broker: a line of JSON in, a line of JSON out.

    connect    port, id, version (5 or 4), clean, expiry, user, password  -> session_present
    subscribe  filter, qos                                                -> granted
    publish    topic, payload, qos, retain, properties                    -> reason, when acknowledged
    take       count, seconds                                             -> messages, as many as came
    echo       filter, qos      answers questions to it with their payload in capitals
    vanish     ends without a farewell
"""

import json
import queue
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE = 20


class Judge:
    def __init__(self):
        self.client = None
        self.version = 5
        self.messages = queue.Queue()
        self.connected = queue.Queue()
        self.granted = queue.Queue()
        self.published = {}
        self.changed = threading.Condition()
        self.echoed = None

    def connect(self, port, id, version=5, clean=True, expiry=0, user=None, password=None):
        self.version = version
        protocol = mqtt.MQTTv5 if version == 5 else mqtt.MQTTv311
        extra = {} if version == 5 else {"clean_session": clean}
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=id, protocol=protocol, **extra)
        if user is not None:
            client.username_pw_set(user, password)
        client.max_queued_messages_set(0)
        client.max_inflight_messages_set(1000)
        client.on_connect = lambda c, u, flags, reason, p: self.connected.put((flags, reason))
        client.on_subscribe = lambda c, u, mid, reasons, p: self.granted.put(reasons)
        client.on_publish = self.on_publish
        client.on_message = self.on_message
        self.client = client
        options = {}
        if version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry
            options = {"clean_start": clean, "properties": properties}
        client.connect("127.0.0.1", port, 60, **options)
        client.loop_start()
        flags, reason = self.connected.get(timeout=PATIENCE)
        return {"session_present": bool(flags.session_present), "reason": str(reason)}

    def on_publish(self, client, user, mid, reason, properties):
        with self.changed:
            self.published[mid] = str(reason)
            self.changed.notify_all()

    def on_message(self, client, user, message):
        if self.echoed and mqtt.topic_matches_sub(self.echoed, message.topic):
            return self.answer(message)
        shown = {
            "topic": message.topic,
            "payload": message.payload.decode("utf-8", "backslashreplace"),
            "qos": message.qos,
            "retain": bool(message.retain),
        }
        if self.version == 5:
            known = message.properties.json()
            shown["properties"] = {k: v for k, v in known.items() if k != "SubscriptionIdentifier"}
        self.messages.put(shown)

    def answer(self, message):
        asked = message.properties
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = asked.CorrelationData
        payload = message.payload.upper()
        self.client.publish(asked.ResponseTopic, payload, qos=1, properties=properties)

    def subscribe(self, filter, qos=2):
        self.client.subscribe(filter, qos)
        reasons = self.granted.get(timeout=PATIENCE)
        return {"granted": [reason.value for reason in reasons]}

    def echo(self, filter, qos=1):
        self.echoed = filter
        return self.subscribe(filter, qos)

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        given = None
        if properties:
            given = Properties(PacketTypes.PUBLISH)
            for name, value in properties.items():
                pairs = [tuple(pair) for pair in value] if name == "UserProperty" else value
                setattr(given, name, pairs)
        sent = self.client.publish(topic, payload, qos, retain, properties=given)
        with self.changed:
            known = self.changed.wait_for(lambda: sent.mid in self.published, PATIENCE)
        if not known:
            raise TimeoutError(f"nothing was heard of message {sent.mid}")
        return {"reason": self.published.pop(sent.mid)}

    def take(self, count, seconds=PATIENCE):
        messages = []
        try:
            while len(messages) < count:
                messages.append(self.messages.get(timeout=seconds))
        except queue.Empty:
            pass
        return {"messages": messages}

    def vanish(self):
        self.client.loop_stop()
        self.client.socket().close()
        return {}


def main():
    judge = Judge()
    for line in sys.stdin:
        request = json.loads(line)
        verb = request.pop("op")
        try:
            answer = getattr(judge, verb)(**request)
        except Exception as error:  # Whatever it is, the test that asked shows it.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
