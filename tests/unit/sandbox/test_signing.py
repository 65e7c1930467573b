"""The digests of tests/unit/billing/test_provider_signatures.py, made by openssl: both sides by one yardstick."""

from sandbox import signing

STRIPE_BODY = (
    b'{"id":"evt_1","object":"event","type":"payment_intent.succeeded","data":{"object":'
    b'{"id":"pi_1","object":"payment_intent","metadata":{"reference":"pay-1"}}}}'
)


def test_stripes_scheme_has_a_digest_for_each_secret() -> None:
    assert signing.timestamped(["whsec_new", "whsec_old"], STRIPE_BODY, 1_700_000_000) == (
        "t=1700000000"
        ",v1=7a8104432da05b3ae801d4f0e75d49331aca02499a5ca2593700aa25463182b4"
        ",v1=52163c966246ad3bdfbfe82321c277a608cb157452b68611d35465a8d02299c2"
    )


def test_mercado_pagos_scheme_is_of_the_ids_and_the_time() -> None:
    request_id = "f7b2a1d4-0b1c-4ec2-aaaa-9e8b1d2f3c4d"
    assert signing.mercadopago("whsec_new", "1234567890", request_id, 1_700_000_000_123) == (
        "ts=1700000000123,v1=0138d138f953e4177ef0d0750db35b683ac481bca1de24017be5326fcace03d2"
    )
