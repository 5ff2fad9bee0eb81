/** A photograph by the camera of the reader's device. */

import { h } from '../dom.js';
import { notify, openDialog } from '../notice.js';
import { t } from '../text.js';

/**
 * Asks for the camera and shows what it sees until a photograph is taken.
 * @param {(picture: File) => void} take
 * @param {import('../dom.js').Lifetime} life
 */
export async function openCamera(take, life) {
  if (!navigator.mediaDevices?.getUserMedia) {
    // Browsers give the camera to secure pages alone. A phone offers its own camera for a file.
    const input = h('input', { type: 'file', accept: 'image/*', capture: 'environment' });
    input.addEventListener('change', () => {
      if (input.files[0]) take(input.files[0]);
    });
    input.click();
    return;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  } catch (error) {
    const name = /** @type {DOMException} */ (error).name;
    notify(t(name === 'NotAllowedError' ? 'camera.denied' : 'camera.none'), { failed: true });
    return;
  }
  const video = h('video', { autoplay: true, playsinline: true, 'aria-label': t('camera.view') });
  video.muted = true;
  video.srcObject = stream;
  const photograph = async () => {
    const canvas = h('canvas', { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext('2d').drawImage(video, 0, 0);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.92));
    taken += 1;
    take(new File([blob], t('camera.file', { n: taken }), { type: 'image/jpeg' }));
  };
  let taken = 0;
  const dialog = openDialog(t('camera.title'), (close) => [video, h('div.actions', null,
    h('button', { type: 'button', onclick: close }, t('camera.done')),
    h('button.primary', { type: 'button', onclick: photograph }, t('camera.take')))], 'camera');
  const stop = () => stream.getTracks().forEach((/** @type {MediaStreamTrack} */ track) => track.stop());
  dialog.addEventListener('close', stop);
  life.onEnd(() => dialog.close());
}
