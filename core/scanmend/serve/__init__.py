"""The engine process: one a user, shared by all front ends, with its networks kept warm.

client    what front ends talk to it with; a single file on the standard library
wanted    what a job may ask for, read from JSON once
shelf     the profiles, for front ends that have no Python of ours
jobs      the jobs of a server, from the queue to their last event
crew      worker processes: started, watched, ended; each may die without harm to anything else
door      who is let in, and how others are told
app       the HTTP side: routes, refusals, event streams
listening sockets, those of its own and those that systemd hands over, and the lock beside them
house     a server as a whole: its beginning, its keepers, its end
work      what a worker does with a job; planes, what is made beside a result's pixels
worker    the process that decodes files and runs networks
"""
