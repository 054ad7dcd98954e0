"""How long a connection counts."""

from redis import Redis

from streaming.access.quota import LEASE_SECONDS, Quota, _key


async def test_one_renewal_vouches_for_the_connections_of_every_holder(redis_server: Redis) -> None:
    quota = Quota()
    holders = {"first": "user:1", "second": "user:1", "third": "user:2"}
    for connection, holder in holders.items():
        assert await quota.admit(holder, connection, 2)
    for connection, holder in holders.items():
        redis_server.zadd(_key(holder), {connection: 1})
        redis_server.expire(_key(holder), 1000)
    await quota.renew({})
    await quota.renew(holders)
    for holder in set(holders.values()):
        assert redis_server.ttl(_key(holder)) <= LEASE_SECONDS
    # Nobody's lease has ended, so that nobody else finds room.
    assert not await quota.admit("user:1", "fourth", 2)
    assert not await quota.admit("user:2", "fourth", 1)
    await quota.close()
