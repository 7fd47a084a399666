"""Messages on their way: webhooks over HTTPS and mail through a relay, against real servers with a private CA."""

from __future__ import annotations

import logging
import re
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from auditor.config import Config, Mail, Notify, Webhook, load
from auditor.deliver import mail, notify, webhook
from auditor.deliver.message import Message
from auditor.errors import AuditorError, UsageError
from tests.deliver.servers import hook, relay

MESSAGE = Message(
    cause="changed", title="Port 25: 1 change", changes_title="Changes", changes=("a · b → c",), run_id="r1"
)
HASTY = webhook.Patience(tries=3, backoff=0.01, longest=5, timeout=5)
QUICK = mail.Patience(tries=3, backoff=0.01, timeout=5)


@pytest.fixture
def environ(chain: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment that names the CA and holds the password."""
    for name in ("HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return {"SSL_CERT_FILE": str(chain[0]), "RELAY": "pl4nted-smtp-password"}


def letters_to(port: int, **changes: Any) -> Mail:
    """The config of mail through a relay on loopback."""
    plain = {"user": "auditor", "password": "env:RELAY", "to": ("ops@contoso.test",)}
    return Mail(host="127.0.0.1", port=port, sender="auditor@contoso.test", **(plain | changes))


def mailed(letters: Mail, message: Message, environ: dict[str, str], patience: mail.Patience = QUICK) -> dict[str, str]:
    """Sends it to all who get it; who does not, and why."""
    return mail.send(letters, message, environ, letters.to, patience)


# ---- webhooks


def test_a_message_is_posted(team, environ):
    """One POST with the body as JSON."""
    webhook.post(team.url, b'{"text":"x"}', environ, HASTY)
    assert team.taken == [{"text": "x"}]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_may_pass_is_tried_again(team, environ, status):
    """Throttling and failures of the server are tried again, as soon as the server asks."""
    team.answers = [(status, {"Retry-After": "0"}, ""), (status, {}, "")]
    webhook.post(team.url, b"{}", environ, HASTY)
    assert (team.tries, team.taken) == (3, [{}])


def test_not_for_ever(team, environ):
    """After so many tries it is an error, with what the server said and without the team."""
    team.answers = [(503, {}, "over capacity")] * 9
    with pytest.raises(AuditorError, match=r"^127\.0\.0\.1: 503 over capacity$"):
        webhook.post(team.url, b"{}", environ, HASTY)
    assert team.tries == HASTY.tries


def test_nobody_waits_for_an_hour(team, environ):
    """A server that asks for a long wait is not waited for."""
    team.answers = [(429, {"Retry-After": "3600"}, "")]
    with pytest.raises(AuditorError, match="429"):
        webhook.post(team.url, b"{}", environ, HASTY)
    assert team.tries == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(team, chain, environ, status):
    """A message goes to the address it was given and to no other, whatever the server says."""
    with hook(chain[1]) as elsewhere:
        team.answers = [(status, {"Location": elsewhere.url}, "")]
        with pytest.raises(AuditorError, match="not followed"):
            webhook.post(team.url, b"{}", environ, HASTY)
    assert (team.tries, elsewhere.tries) == (1, 0)


def test_a_refusal_is_final(team, environ):
    """A 4xx is not tried again; an HTML page is not repeated in the error."""
    team.answers = [(404, {}, "<html>Not here</html>")]
    with pytest.raises(AuditorError, match=r"^127\.0\.0\.1: 404$"):
        webhook.post(team.url, b"{}", environ, HASTY)
    assert team.tries == 1


def test_an_error_does_not_say_the_address(team, environ):
    """Neither a server that repeats the address nor one that is not there brings it into the error."""
    team.answers = [(400, {}, f"no workflow at {team.url}")]
    with pytest.raises(AuditorError) as said:
        webhook.post(team.url, b"{}", environ, HASTY)
    with pytest.raises(AuditorError) as unreached:
        webhook.post("https://127.0.0.1:1/pl4nted-path?sig=pl4nted", b"{}", environ, HASTY)
    with pytest.raises(AuditorError) as odd:
        webhook.post("https://127.0.0.1:pl4nted/", b"{}", environ, HASTY)
    assert "pl4nted-signature" not in str(said.value)
    assert "pl4nted" not in str(unreached.value) + str(odd.value)


@pytest.mark.parametrize(
    "said",
    [
        "signature pl4nted-signature is not valid",
        "token pl4nted-webhook-token revoked",
        "no workflows/pl4nted-webhook-token",
    ],
)
def test_an_error_does_not_say_a_part_of_the_address(team, environ, said):
    """A service that names what in the address displeases it does not bring it into the error either."""
    team.answers = [(400, {}, said)]
    with pytest.raises(AuditorError, match=r"400 .*\*\*\*") as raised:
        webhook.post(team.url, b"{}", environ, HASTY)
    assert "pl4nted" not in str(raised.value)


@pytest.mark.parametrize("proxy", ["http://svc:p[pl4nted@127.0.0.1:9", "http://[::1"])
def test_a_proxy_that_cannot_be_one(team, environ, monkeypatch, proxy):
    """The variable is named, its value is not."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(AuditorError, match=r"^HTTPS_PROXY is no address of a proxy; expected") as raised:
        webhook.post(team.url, b"{}", environ, HASTY)
    assert "pl4nted" not in str(raised.value)


def test_tls_is_verified(team):
    """A certificate that no known CA signed is refused, and so is an address without TLS."""
    with pytest.raises(AuditorError, match=r"(?i)certificate"):
        webhook.post(team.url, b"{}", {}, HASTY)
    with pytest.raises(AuditorError, match="https://"):
        webhook.post(team.url.replace("https", "http"), b"{}", {}, HASTY)
    assert team.tries == 0


def test_an_unknown_certificate_is_not_waited_for(team, monkeypatch):
    """It is refused at once: it does not pass."""
    monkeypatch.setattr("asyncio.sleep", lambda _: pytest.fail("it waits"))
    with pytest.raises(AuditorError, match=r"(?i)certificate"):
        webhook.post(team.url, b"{}", {}, HASTY)


# ---- mail


def test_a_letter_is_handed_over(post_office, environ):
    """It goes under TLS, signed in, to all who get it; subject and text are those of the message."""
    assert mailed(letters_to(post_office.port, to=("a@contoso.test", "b@contoso.test")), MESSAGE, environ) == {}
    (letter,) = post_office.letters
    assert post_office.encrypted == [True]
    assert post_office.receivers == ["a@contoso.test", "b@contoso.test"]
    assert letter["Subject"] == "Port 25: 1 change"
    assert letter["From"] == "auditor@contoso.test"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "a · b → c" in letter.get_content()


def test_without_starttls_nothing_is_sent(chain, environ):
    """A relay that offers no TLS gets neither password nor letter."""
    with relay(chain[1], starttls=False) as open_relay:
        (why,) = mailed(letters_to(open_relay.port), MESSAGE, environ).values()
        assert "STARTTLS" in why
        assert open_relay.letters == []


def test_the_relays_certificate_is_verified(post_office, environ):
    """A relay whose certificate no known CA signed gets nothing."""
    del environ["SSL_CERT_FILE"]
    (why,) = mailed(letters_to(post_office.port), MESSAGE, environ).values()
    assert "certificate" in why
    assert post_office.letters == []


def test_a_wrong_password_is_an_error_without_it(post_office, environ):
    """The relay's word is told, the password is not, and there is one try only."""
    environ["RELAY"] = "pl4nted-and-wrong"
    (why,) = mailed(letters_to(post_office.port), MESSAGE, environ).values()
    assert why.startswith("127.0.0.1: 535 ")
    assert "pl4nted" not in why
    assert post_office.letters == []


def test_a_password_that_smtp_cannot_carry(post_office, environ):
    """A password beyond ASCII is an error like any other, without it."""
    environ["RELAY"] = "pl4nted-pässwörd"
    (why,) = mailed(letters_to(post_office.port), MESSAGE, environ).values()
    assert "ASCII" in why
    assert "pl4nted" not in why


@pytest.mark.parametrize("character", "()[]\\:.'`!#%&*+=?^{}|~/\x00\u200b\u00e9\n\r\"<>@ ")
@pytest.mark.parametrize("form", ["a{}b@c.d", "{}a@c.d", "a@{}c.d", "a@c.d{}", "a@c{}.d", "a{}@c.d"])
def test_an_address_that_the_config_takes_can_be_written(character, form):
    """What would end a letter, a header or the run after the report is there is refused before it."""
    address = form.format(character)
    try:
        found = msgspec.convert({"host": "h", "from": address, "to": [address]}, Mail)
    except msgspec.ValidationError:
        return
    letter = message_from_bytes(mail.compose(found, MESSAGE, found.to).as_bytes(), policy=policy.default)
    assert [letter["From"], letter["To"]] == [address, address]


def test_a_letter_in_chinese(post_office, environ):
    """Subject and text arrive as they were written."""
    chinese = replace(MESSAGE, title="25 端口：1 处变化", changes=("生产环境 · 新",))
    mailed(letters_to(post_office.port), chinese, environ)
    assert post_office.letters[0]["Subject"] == "25 端口：1 处变化"
    assert "生产环境 · 新" in post_office.letters[0].get_content()


def test_a_relay_that_is_busy_is_tried_again(post_office, environ):
    """4xx is tried again, 5xx is not."""
    post_office.say = ["451 4.3.0 try again later"]
    once = mailed(letters_to(post_office.port), MESSAGE, environ, mail.Patience(tries=1))
    assert once == {"ops@contoso.test": "127.0.0.1: 451 4.3.0 try again later"}
    post_office.say = ["451 4.3.0 try again later"]
    assert mailed(letters_to(post_office.port), MESSAGE, environ) == {}
    assert len(post_office.letters) == 1


def test_one_of_two_is_refused(post_office, environ):
    """The other gets it, once, and who does not is said with the reason."""
    post_office.refuse = {"gone@contoso.test"}
    letters = letters_to(post_office.port, to=("a@contoso.test", "gone@contoso.test"))
    assert mailed(letters, MESSAGE, environ) == {"gone@contoso.test": "127.0.0.1: 550 5.1.1 no such mailbox"}
    assert post_office.receivers == ["a@contoso.test"]


def test_one_of_two_is_put_off(post_office, environ):
    """Who is put off is tried again alone: the other gets one letter."""
    post_office.say = ["451 4.7.1 greylisted"]
    letters = letters_to(post_office.port, to=("grey@contoso.test", "b@contoso.test"))
    assert mailed(letters, MESSAGE, environ) == {}
    assert post_office.receivers == ["b@contoso.test", "grey@contoso.test"]


def test_a_relay_that_goes_away_between_two_receivers(post_office, environ):
    """421 ends it: nobody got it, not those either who were not asked yet."""
    post_office.say = ["421 4.3.2 closing"] * 9
    letters = letters_to(post_office.port, to=("a@contoso.test", "b@contoso.test"))
    missed = mailed(letters, MESSAGE, environ)
    assert missed == dict.fromkeys(letters.to, "127.0.0.1: 421 4.3.2 closing")
    assert post_office.letters == []


@pytest.mark.parametrize("goodbye", ["250 OK", "421 4.3.2 closing", "500 what?"])
def test_what_a_relay_says_at_the_end_changes_nothing(post_office, environ, goodbye):
    """The answer to the letter decides, whatever comes after it: there is one letter, and it is delivered."""
    post_office.goodbye = goodbye
    assert mailed(letters_to(post_office.port), MESSAGE, environ) == {}
    assert len(post_office.letters) == 1


def test_nobody_there(environ):
    """A relay that cannot be reached is an error after some tries."""
    (why,) = mailed(letters_to(1), MESSAGE, environ).values()
    assert re.match(r"127\.0\.0\.1: .*refused", why)


# ---- all ways together


def test_one_failure_does_not_hold_up_the_others(team, post_office, environ, caplog):
    """Who can be reached is; who cannot is named in the log and in what comes back, without a secret."""
    hooks = (Webhook(kind="json", url="env:GONE", name="gone"), Webhook(kind="slack", url="env:HOOK"))
    environ |= {"GONE": team.url.replace("https", "http"), "HOOK": team.url}
    with caplog.at_level(logging.INFO, "auditor"):
        sent = [*notify.send(Notify(webhooks=hooks, mail=letters_to(post_office.port)), MESSAGE, environ)]
    assert [(each.to, bool(each.error)) for each in sent] == [
        ("gone", True),
        ("slack webhook 2", False),
        ("ops@contoso.test", False),
    ]
    assert len(team.taken) == len(post_office.letters) == 1
    assert "the message to gone was not sent" in caplog.text
    assert "pl4nted" not in caplog.text + str(sent)


def test_secrets_are_looked_for_beforehand(tmp_path):
    """A variable that is not set and a file that is not there are usage errors before anything is collected."""
    there = tmp_path / "hook"
    there.write_text("https://127.0.0.1/x\n")
    for where in ("env:NOWHERE", f"file:{tmp_path}/nowhere"):
        with pytest.raises(UsageError, match=r"(?i)^notify\.webhook\[0\]\.url: .*nowhere"):
            notify.check(Notify(webhooks=(Webhook(kind="json", url=where),)), {})
    notify.check(Notify(webhooks=(Webhook(kind="json", url=f"file:{there}"),)), {})


@pytest.mark.parametrize("where", ["env:RELAY", "file:relay"])
def test_a_secret_ends_before_the_line(tmp_path, monkeypatch, post_office, environ, where):
    """A line end after a password, as tools like to put one into variables and files, is none of it."""
    monkeypatch.chdir(tmp_path)
    Path("relay").write_text(f"{post_office.password}\n")
    environ["RELAY"] = f"{post_office.password}\n"
    assert mailed(letters_to(post_office.port, password=where), MESSAGE, environ) == {}


# ---- the config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[notify.webhook]]\nkind = "slack"\nurl = "https://hooks.slack.com/pl4nted"', "notify.webhook[0].url is a text; expected where the secret is"),
        ('[notify.mail]\nhost = "x"\nfrom = "a@b"\nto = ["a@b"]\nuser = "u"\npassword = "pl4nted"', "notify.mail.password is a text; expected where"),
        ('[notify.mail]\nhost = "x"\nfrom = "a@b"\nto = ["a@b"]\nuser = "u"', "user and password go together"),
        ('[notify.mail]\nhost = "x"\nfrom = "a@b"\nto = []', "notify.mail.to is a list"),
        ('[notify.mail]\nhost = "x"\nfrom = "a@b"\nto = ["a@b\\nBcc: c@d"]', "expected a bare mail address"),
        ('[[notify.webhook]]\nkind = "irc"\nurl = "env:X"', "expected one of"),
        ('[[notify.webhook]]\nkind = "json"\nurl = "env:A"\nname = "ops"\n' * 2, "notify: receiver: ops is given twice"),
        ('[notify.mail]\nhost = "x"\nfrom = "a@b"\nto = ["a@b", "a@b"]', "notify: receiver: a@b is given twice"),
        ('[notify.mail]\nhost = "x"\nport = 25\nfrom = "a@b"\nto = ["a@b"]', "notify.mail.port is 25; expected the port where a relay takes mail of who signs in, such as 587"),
        ('[notify.mail]\nhost = "smtp://relay:587"\nfrom = "a@b"\nto = ["a@b"]', "expected the name or address of a host"),
        ('[notify.mail]\nhost = "a..b"\nfrom = "a@b"\nto = ["a@b"]', 'notify.mail.host is "a..b"; expected the name'),
        ('[notify.mail]\nhost = "x"\nfrom = "a@b\\n"\nto = ["a@b"]', "notify.mail.from is"),
        ('[notify.mail]\nhost = "x"\nfrom = "a@b"\nto = ["münchen@b"]', "a bare mail address such as ops@contoso.com, in ASCII"),
        ('[[notify.webhook]]\nkind = "json"\nurl = "env:X\\n"', "notify.webhook[0].url is a text"),
        ('[[notify.webhook]]\nkind = "json"\nurl = "env:X"\nverb = "PUT"', "notify.webhook[0].verb is an unknown key; expected one of kind, name, url"),
        ('[report]\nkeep = "3\\n"', "report.keep is"),
        ('[report]\noutput_dir = "s3://b/c"', 'auditor.toml: report.output_dir is "s3://b/c"; expected a folder, or https://'),
        ('[report]\nkeep = "0"', 'report.keep is "0"; expected a number of runs'),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(tmp_path, text, said):
    """A secret in the file is refused and not repeated; so is an address that would write headers."""
    (tmp_path / "auditor.toml").write_text(text)
    with pytest.raises(UsageError) as raised:
        load(tmp_path / "auditor.toml")
    assert said in str(raised.value)
    assert "pl4nted" not in str(raised.value)


def test_a_whole_table():
    """What the file says becomes the ways there are; without the table nobody is told anything."""
    document = {
        "notify": {
            "webhook": [{"kind": "teams", "url": "env:TEAMS_WEBHOOK"}],
            "mail": {"host": "smtp.contoso.com", "from": "a@contoso.com", "to": ["b@contoso.com"]},
        }
    }
    found = msgspec.convert(document, Config).notify
    assert found.wanted
    assert found.mail is not None
    assert found.mail.port == 587
    assert not Config().notify.wanted
