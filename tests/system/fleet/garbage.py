"""What another program may have written under the keys of a fleet."""

from typing import Final

from sidecar.fleet.keys import Keys
from tests.system.fleet.redis_server import RedisServer

_SCRIPT: Final = """
for i, key in ipairs(KEYS) do
  redis.call('DEL', key)
  if ARGV[i] == 'hash' then redis.call('HSET', key, 'garbage', 'garbage', 'long', string.rep('x', 99999))
  elseif ARGV[i] == 'stream' then redis.call('XADD', key, '*', 'n', '7', 'r', 'garbage', 'x', 'y')
  elseif ARGV[i] == 'zset' then redis.call('ZADD', key, '1e300', 'garbage')
  else redis.call('LPUSH', key, 'garbage') end
end
"""


async def write_garbage(redis: RedisServer, keys: Keys) -> None:
    """Put what makes no sense under every key, of the type that it has."""
    await redis.command("EVAL", _SCRIPT, len(keys.types), *keys.types, *keys.types.values())
